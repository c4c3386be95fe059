"""Keeps the state of every gateway in a folder, so that an agent which starts without its server serves what it had
(M-9).

A change is in the file before a proxy hears of it: an agent that is killed and comes back must not take its proxies
back to what they had before. So the small record of a change is written at once, without waiting for the disk (tens of
microseconds; it survives the process, and the proxies do not survive the machine). Only complete records are made in a
thread, that of a new gateway at once, that of a file that has grown later; what changes meanwhile is in both files.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Never

import structlog

from agent.apply.gateway import GatewayState, Key
from agent.apply.journal import Journal

log = structlog.get_logger()

INTERVAL = 0.5
_END = 10.0  # seconds at the end for a thread that still writes


def file_name(scope: str) -> str:
    """Names of namespaces and Services hold no underscore, so the result is unique."""
    return scope.replace("/", "_")


class Disk:
    def __init__(self, folder: Path, interval: float = INTERVAL) -> None:
        self._folder = folder
        self._interval = interval
        self._journals: dict[str, Journal] = {}
        self._files: dict[str, int] = {}  # descriptors, open for the small records
        self._dirty: dict[str, GatewayState | None] = {}
        self._wake = asyncio.Event()
        self._unwritten: dict[str, GatewayState] = {}  # it failed, and is tried again
        self._meanwhile: dict[str, list[bytes]] = {}  # of files that are being replaced: records since it was begun
        self._files_lock = threading.Lock()
        self._job: asyncio.Future[None] | None = None  # the thread that writes, or did

    def load(self) -> Iterator[GatewayState]:
        """What was there at the last write; a file that cannot be used is reported and left out."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._folder.glob("*.state")):
            journal = Journal(path)
            try:
                state = journal.load()
            except (OSError, KeyError, IndexError, ValueError) as broken:
                log.error("apply.state.broken", file=path.name, error=str(broken))
                continue
            if state is None:
                log.error("apply.state.broken", file=path.name, error="no complete record")
            else:
                self._journals[state.scope] = journal
                yield state

    async def read(self) -> list[GatewayState]:
        return list(self.load())

    def changed(self, state: GatewayState, touched: Collection[Key] | None = None) -> None:
        journal, removed = self._journals.get(state.scope), self._dirty.get(state.scope, state) is None
        if journal is not None and journal.is_begun and not removed:
            self._write(state.scope, state, touched)()
            if state.scope in self._unwritten:
                self._wake.set()
            if not journal.is_due:
                return
        self._dirty[state.scope] = state
        self._wake.set()

    def removed(self, scope: str) -> None:
        self._unwritten.pop(scope, None)
        self._dirty[scope] = None
        self._wake.set()

    def take_over(self) -> None:
        """A folder has one writer."""

    async def run(self) -> Never:
        try:
            while True:
                await self._wake.wait()
                if not self._is_first():
                    await asyncio.sleep(self._interval)
                self._dirty = {**self._unwritten, **self._dirty}
                await self.flush()
                if self._unwritten:
                    self._wake.set()
        finally:
            try:
                if self._job is not None:
                    await asyncio.wait([self._job], timeout=_END)
            finally:
                while self._dirty:  # the last change before the end is kept too
                    self._next()()
                for scope in list(self._files):
                    self._close(scope)

    def _is_first(self) -> bool:
        """There is a gateway of which nothing is kept yet: who is killed now would come back with nothing."""
        waiting = (self._journals.get(scope) for scope in self._dirty.keys() - self._unwritten.keys())
        return any(journal is None or not journal.is_begun for journal in waiting)

    async def flush(self) -> None:
        """One gateway after the other: a complete record of a large one takes milliseconds to make."""
        self._wake.clear()
        for _ in range(len(self._dirty)):
            if not self._dirty:
                return
            self._job = asyncio.get_running_loop().run_in_executor(None, self._next())
            await asyncio.shield(self._job)  # cancelled, it is still being written, with what changes until it is

    def _next(self) -> Callable[[], None]:
        scope = next(iter(self._dirty))
        return self._write(scope, self._dirty.pop(scope), None, complete=True)

    def _write(
        self, scope: str, state: GatewayState | None, touched: Collection[Key] | None, *, complete: bool = False
    ) -> Callable[[], None]:
        journal = self._journals.get(scope)
        if journal is None:
            journal = self._journals[scope] = Journal(self._folder / f"{file_name(scope)}.state")
        if state is None:
            del self._journals[scope]
            self._close(scope)
            return lambda: journal.path.unlink(missing_ok=True)
        data, replace = journal.record(state, touched, complete=complete)
        if replace:
            self._meanwhile[scope] = []

        def write() -> None:
            if not data:
                return  # told again what it knew, as after a restart of the server
            try:
                if replace:
                    self._replace(scope, journal.path, data)
                else:
                    self._append(scope, journal.path, data)
            except OSError as failed:  # a full disk must not end the agent; the next record is a complete one
                journal.restart()
                if scope not in self._unwritten:
                    remedy = "make room or repair the folder; it is tried again"
                    log.error("apply.state.unwritten", file=str(journal.path), error=str(failed), remedy=remedy)
                self._unwritten[scope] = state
            else:
                self._unwritten.pop(scope, None)

        return write

    def _append(self, scope: str, path: Path, data: bytes) -> None:
        with self._files_lock:
            if scope in self._meanwhile:
                self._meanwhile[scope].append(data)
            file = self._files.get(scope)
            if file is None:
                if scope in self._meanwhile and not path.exists():
                    return
                file = self._files[scope] = os.open(path, os.O_WRONLY | os.O_APPEND)
            if os.write(file, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _replace(self, scope: str, path: Path, data: bytes) -> None:
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            with self._files_lock:
                file.write(b"".join(self._meanwhile.pop(scope, ())))
                file.flush()
                fresh.replace(path)
                self._close(scope)

    def _close(self, scope: str) -> None:
        if (file := self._files.pop(scope, None)) is not None:
            os.close(file)
