"""Holding a link for ever: reconnect with exponential back-off and full jitter (relay.md §3.3 rule 16)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Never

from fingerpost.relay.reasons import LinkLost
from fingerpost.relay.settings import RelaySettings


async def keep_linked(
    connect: Callable[[], Awaitable[None]],
    settings: RelaySettings,
    lost: Callable[[LinkLost, float], None] = lambda _reason, _delay: None,
) -> Never:
    """Only LinkLost is retried; anything else is a bug and goes up. `lost` hears of every loss and of the pause that
    follows.

    A link that lasted longer than the ceiling starts the back-off anew. A wish of the peer (`retry_after`) is a floor
    under the jitter.
    """
    clock, ceiling = asyncio.get_running_loop().time, settings.retry_first
    while True:
        began, wish = clock(), 0.0
        try:
            await _to_its_end(connect)
            reason = LinkLost("the stream ended")
        except LinkLost as error:
            reason, wish = error, error.retry_after
        if clock() - began > settings.retry_ceiling:
            ceiling = settings.retry_first
        pause = wish + random.uniform(0, ceiling)  # noqa: S311 - spreads agents, guards no secret
        ceiling = min(ceiling * settings.retry_factor, settings.retry_ceiling)
        lost(reason, pause)
        await asyncio.sleep(pause)


async def _to_its_end(connect: Callable[[], Awaitable[None]]) -> None:
    """A task group whose tasks fail while it is cancelled raises their errors alone, and the cancellation is lost
    (CPython before 3.13). In a task of its own such a link cannot swallow the cancellation of who holds it.
    """
    link = asyncio.ensure_future(connect())
    try:
        await asyncio.wait([link])
    except asyncio.CancelledError:
        link.cancel()
        await asyncio.wait([link])
        raise
    link.result()
