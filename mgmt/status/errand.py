"""Work that is done again whenever somebody says so, and after a while when some of it has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Never

_AGAIN = 15.0  # seconds until what failed is tried again


class Errand:
    """`work` does all that there is to do, and answers whether it succeeded. It is done once when `run` begins."""

    def __init__(self, work: Callable[[], Awaitable[bool]], again: float = _AGAIN) -> None:
        self._work, self._again = work, again
        self._due = asyncio.Event()

    def look(self) -> None:
        self._due.set()

    async def run(self) -> Never:
        while True:
            succeeded = await self._work()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if succeeded else self._again):
                    await self._due.wait()
            self._due.clear()
