"""Small files that outlive this process: in the state folder, or in one Secret where the cluster has an API server, so
that a new pod of the agent has what the last one had (M-9).

Readers never wait: a Secret is held in memory, and written behind.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Never, Protocol

import structlog

from fingerpost.secrets.protocol import Secrets, SecretsFailed

log = structlog.get_logger()
_AGAIN = 5.0


class Kept(Protocol):
    """`changed` is called when another process has written."""

    changed: Callable[[], None]

    def read(self, name: str) -> bytes | None: ...

    async def keep(self, files: Mapping[str, bytes]) -> None: ...

    def drop(self, names: Collection[str]) -> None: ...

    async def run(self) -> Never: ...


class KeptInFolder:
    """The order of `keep` is kept: who writes a certificate last finds its key there."""

    def __init__(self, folder: Path) -> None:
        self.changed: Callable[[], None] = lambda: None  # nobody else writes there
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    async def keep(self, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            await asyncio.to_thread(_write, self._folder / name, data)

    def drop(self, names: Collection[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    async def run(self) -> Never:
        while True:  # there is nothing to do
            await asyncio.Event().wait()


class KeptInSecret:
    """`begin`, then `run`. Only while `may_write()` is the Secret written; who may not takes up what another one
    writes, and calls `changed`.
    """

    def __init__(
        self, secrets: Secrets, name: str, may_write: Callable[[], bool] = lambda: True, again: float = _AGAIN
    ) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._secrets, self._name, self._again = secrets, name, again
        self._may_write = may_write
        self._files: dict[str, bytes] = {}
        self._dirty = asyncio.Event()

    def read(self, name: str) -> bytes | None:
        return self._files.get(name)

    async def keep(self, files: Mapping[str, bytes]) -> None:
        self._files.update(files)
        self._dirty.set()

    def drop(self, names: Collection[str]) -> None:
        if self._files.keys() & set(names):
            for name in names:
                self._files.pop(name, None)
            self._dirty.set()

    async def begin(self) -> None:
        """A Secret that cannot be read now comes with the watch."""
        try:
            self._files = dict(await self._secrets.get(self._name))
        except SecretsFailed as failed:
            log.warning("apply.kept.unread", resource=self._name, reason=str(failed))

    async def run(self) -> Never:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write(), name="agent.kept.write")
            group.create_task(self._follow(), name="agent.kept.follow")
        raise RuntimeError("the watch of what is kept ended")

    async def _write(self) -> Never:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if not self._may_write():
                continue
            try:
                await self._secrets.put(self._name, self._files)
            except SecretsFailed as failed:
                log.warning("apply.kept.unwritten", resource=self._name, reason=str(failed))
                self._dirty.set()
                await asyncio.sleep(self._again)

    async def _follow(self) -> None:
        async with aclosing(self._secrets.watch([self._name])) as changes:  # type: ignore[type-var]  # every watch is a generator
            async for _ in changes:
                try:
                    found = dict(await self._secrets.get(self._name))
                except SecretsFailed as failed:
                    log.warning("apply.kept.unread", resource=self._name, reason=str(failed))
                    continue
                if found == self._files:
                    continue
                if self._may_write() and self._files:
                    self._dirty.set()  # somebody else has changed it: what is in use counts
                else:
                    self._files = found
                    self.changed()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)
