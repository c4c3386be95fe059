"""Secrets as they are now: read at the start and whenever they may have changed. A watch tells a change once, so what
cannot be read then is read again until it can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import aclosing

from fingerpost.secrets.protocol import Data, Secrets, SecretsFailed

AGAIN = 2.0  # seconds
Take = Callable[[str, Data], None]
Complain = Callable[[str, str], None]


class Follower:
    """`unread`: why a secret cannot be read now, by its name."""

    def __init__(self, secrets: Secrets, again: float = AGAIN) -> None:
        self.unread: dict[str, str] = {}
        self._secrets, self._pause = secrets, again
        self._failed = asyncio.Event()
        self._reading = asyncio.Lock()  # what was read first is taken first

    async def run(self, names: Collection[str], take: Take, complain: Complain) -> None:
        """`complain(name, reason)` once for each reason. Ends only when the watch does."""
        async with asyncio.TaskGroup() as group:
            again = group.create_task(self._again(take, complain), name="secrets.again")
            try:
                async with aclosing(self._secrets.watch(names)) as changes:  # type: ignore[type-var]  # every watch is a generator
                    async for name in changes:
                        await self._read(name, take, complain)
            finally:
                again.cancel()

    async def _again(self, take: Take, complain: Complain) -> None:
        while True:
            await self._failed.wait()
            await asyncio.sleep(self._pause)
            for name in tuple(self.unread):
                await self._read(name, take, complain)
            if not self.unread:
                self._failed.clear()

    async def _read(self, name: str, take: Take, complain: Complain) -> None:
        async with self._reading:
            try:
                data = await self._secrets.get(name)
            except SecretsFailed as failed:
                known, self.unread[name] = self.unread.get(name), str(failed)
                self._failed.set()
                if known != str(failed):
                    complain(name, str(failed))
            else:
                self.unread.pop(name, None)
                take(name, data)
