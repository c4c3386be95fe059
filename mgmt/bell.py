"""Waiting for the next of something that happens again and again."""

from __future__ import annotations

import asyncio


class Bell:
    """Whoever waits for something to happen need not ask again and again."""

    def __init__(self) -> None:
        self.rings = 0
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        self.rings += 1
        for waiter in tuple(self._waiters):
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    @property
    def awaited(self) -> bool:
        return bool(self._waiters)

    async def wait(self, heard: int | None = None) -> None:
        """Returns at the next ring; at once where there were more than the `heard` ones."""
        if heard is not None and self.rings > heard:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
