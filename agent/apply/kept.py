"""Small files that outlive this process: in the state folder, or in one Secret where the cluster has an API server, so
that a new pod of the agent has what the last one had (M-9).

Readers never wait: a Secret is held in memory, and written behind.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Never, Protocol

import structlog

from fingerpost.secrets.follower import Follower
from fingerpost.secrets.protocol import Data, Secrets, SecretsFailed

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
    """The order of `keep` is kept: who writes a certificate last finds its key there. What cannot be written now is
    held in memory, and tried again.
    """

    def __init__(self, folder: Path, again: float = _AGAIN) -> None:
        self.changed: Callable[[], None] = lambda: None  # nobody else writes there
        self._folder, self._again = folder, again
        self._unwritten: dict[str, bytes] = {}
        self._failed = asyncio.Event()
        self._writing = asyncio.Lock()

    def read(self, name: str) -> bytes | None:
        if name in self._unwritten:
            return self._unwritten[name]
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    async def keep(self, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            self._unwritten.pop(name, None)
            self._unwritten[name] = data  # last
        await self._write()

    async def _write(self) -> None:
        async with self._writing:
            for name, data in list(self._unwritten.items()):
                path = self._folder / name
                try:
                    await asyncio.to_thread(_write, path, data)
                except OSError as failed:  # a full disk must not end the agent
                    if not self._failed.is_set():
                        remedy = "make room or repair the folder; it is tried again"
                        log.warning("apply.kept.unwritten", file=str(path), error=str(failed), remedy=remedy)
                    self._failed.set()
                    return
                if self._unwritten.get(name) is data:
                    del self._unwritten[name]
            self._failed.clear()

    def drop(self, names: Collection[str]) -> None:
        for name in names:
            self._unwritten.pop(name, None)
            (self._folder / name).unlink(missing_ok=True)

    async def run(self) -> Never:
        while True:
            await self._failed.wait()
            await asyncio.sleep(self._again)
            await self._write()


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
            _complain(self._name, str(failed))

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
        await Follower(self._secrets, self._again).run([self._name], self._take, _complain)

    def _take(self, _name: str, data: Data) -> None:
        found = dict(data)
        if found == self._files:
            return
        if self._may_write() and self._files:
            self._dirty.set()  # somebody else has changed it: what is in use counts
        else:
            self._files = found
            self.changed()


def _complain(name: str, reason: str) -> None:
    log.warning("apply.kept.unread", resource=name, reason=reason)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)
