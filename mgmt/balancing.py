"""Streams live long, so a new replica gets no agents by itself: one that carries more than its share lets the youngest
go (relay.md §9.1). It names no target; the Service spreads the new attempts.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Never, Protocol

import structlog

from mgmt.store.errors import StoreError

log = structlog.get_logger()


def share(clusters: int, replicas: int) -> int:
    """How many agents one of the replicas that are ready carries at most."""
    return math.ceil(clusters / max(1, replicas)) + 1


class Scales:
    """When to let go, and how many. Agents of a replica that has just died crowd on the others before it is known to be
    gone: so only who has been above the share for longer than a sign of life lasts is in earnest. Seconds.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._replicas = 0
        self._above_since: float | None = None
        self._let_go_at = -math.inf

    def excess(self, now: float, own: int, clusters: int, replicas: int) -> int:
        """How many of `own` agents have to go now. Those let go may be back a moment later, and go again."""
        if replicas != self._replicas:
            self._replicas, self._above_since, self._let_go_at = replicas, None, -math.inf
        over = own - share(clusters, replicas)
        if over <= 0:
            if now - self._let_go_at > self._settle:
                self._above_since = None
            return 0
        if self._above_since is None:
            self._above_since = now
        if now - self._above_since < self._settle:
            return 0
        self._let_go_at = now
        return over


class Presence(Protocol):
    """The part of `mgmt.store.redis_store.RedisStore` that is needed."""

    async def present(self, ttl: float, *, serving: bool) -> int: ...


class Balancing:
    """`lease`: seconds that a sign of life lasts. `carried()`: agents here, clusters in all; `let_go(count)`."""

    def __init__(
        self,
        store: Presence,
        lease: float,
        serving: Callable[[], bool],
        carried: Callable[[], tuple[int, int]],
        let_go: Callable[[int], None],
    ) -> None:
        self._store, self._lease, self._serving = store, lease, serving
        self._carried, self._let_go = carried, let_go
        self._scales = Scales(1.2 * lease)

    async def run(self) -> Never:
        """With Redis away nobody knows how many there are, and all stay."""
        try:
            while True:
                try:
                    replicas = await self._store.present(self._lease, serving=self._serving())
                except StoreError:
                    self._scales = Scales(1.2 * self._lease)
                else:
                    self._look(replicas)
                await asyncio.sleep(self._lease / 3)
        finally:
            await self._leave()

    def _look(self, replicas: int) -> None:
        own, clusters = self._carried()
        if count := self._scales.excess(time.monotonic(), own, clusters, replicas):
            log.info("relay.agents.let_go", count=count, agents=own, clusters=clusters, replicas=replicas)
            self._let_go(count)

    async def _leave(self) -> None:
        try:
            await self._store.present(self._lease, serving=False)
        except StoreError as error:
            log.info("store.presence.kept", reason=str(error))
