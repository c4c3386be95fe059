"""Keeps the state of every gateway in a folder, write-behind, so that an agent which starts without its server serves
what it had (M-9).

Never on the way of a change: what happened within one interval is one write, and the writing is done in a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Never

import structlog

from agent.apply.gateway import GatewayState
from agent.apply.journal import Journal

log = structlog.get_logger()

INTERVAL = 0.5


def file_name(scope: str) -> str:
    """Names of namespaces and Services hold no underscore, so the result is unique."""
    return scope.replace("/", "_")


class Disk:
    def __init__(self, folder: Path, interval: float = INTERVAL) -> None:
        self._folder = folder
        self._interval = interval
        self._journals: dict[str, Journal] = {}
        self._dirty: dict[str, GatewayState | None] = {}
        self._wake = asyncio.Event()

    def load(self) -> Iterator[GatewayState]:
        """What was there at the last write; a file that cannot be used is reported and left out."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._folder.glob("*.state")):
            try:
                state = Journal(path).load()
            except (OSError, KeyError, IndexError, ValueError) as broken:
                log.error("apply.state.broken", file=path.name, error=str(broken))
                continue
            if state is None:
                log.error("apply.state.broken", file=path.name, error="no complete record")
            else:
                yield state

    async def read(self) -> list[GatewayState]:
        return list(self.load())

    def changed(self, state: GatewayState) -> None:
        self._dirty[state.scope] = state
        self._wake.set()

    def removed(self, scope: str) -> None:
        self._dirty[scope] = None
        self._wake.set()

    async def run(self) -> Never:
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(self._interval)
                await self.flush()
        finally:
            while self._dirty:  # the last change before the end is kept too
                self._next()()

    async def flush(self) -> None:
        """One gateway after the other: the first record of a large one takes milliseconds to make."""
        self._wake.clear()
        for _ in range(len(self._dirty)):
            if self._dirty:
                await asyncio.to_thread(self._next())

    def _next(self) -> Callable[[], None]:
        scope = next(iter(self._dirty))
        return self._write(scope, self._dirty.pop(scope))

    def _write(self, scope: str, state: GatewayState | None) -> Callable[[], None]:
        path = self._folder / f"{file_name(scope)}.state"
        if state is None:
            self._journals.pop(scope, None)
            return lambda: path.unlink(missing_ok=True)
        journal = self._journals.setdefault(scope, Journal(path))
        data, replace = journal.record(state)

        def write() -> None:
            if not data:
                return  # told again what it knew, as after a restart of the server
            try:
                _store(path, data, replace=replace)
            except OSError as failed:  # a full disk must not end the agent; the next record is a complete one
                journal.restart()
                log.error("apply.state.unwritten", file=path.name, error=str(failed))

        return write


def _store(path: Path, data: bytes, *, replace: bool) -> None:
    if not replace:
        with path.open("ab") as file:
            file.write(data)
        return
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
