"""Waiting for others, fairly: while this process itself computes, or is stopped, it hears nobody, and what has come in
meanwhile is not read yet. That is no silence of theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LATE = 0.05  # seconds by which a timer may be late without this process having been away


@asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[None]:
    """As `asyncio.timeout`, whose TimeoutError it raises. A limit that ends while this process is away is put off by as
    long as it was away, all in all at most by `seconds`.
    """
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []
    left = seconds  # by which it may still be put off

    def over(due: float) -> None:
        nonlocal left
        late = min(loop.time() - due, left)
        if late < _LATE:
            limit.reschedule(due)
        else:
            left -= late
            watch(late)

    def watch(pause: float) -> None:
        due = loop.time() + pause
        timers[:] = [loop.call_at(due, over, due)]

    async with asyncio.timeout(None) as limit:
        watch(seconds)
        try:
            yield
        finally:
            timers[0].cancel()
