"""A new listing of a cluster whose agent is connected to another replica: asked for by way of Redis, and answered once
what it brought is there (design D6).

Numbers count how often a cluster was asked for, so that an answer is never taken for that of a later question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Never, Protocol

import structlog

from mgmt.relisting import Relisting
from mgmt.store.errors import StoreError

log = structlog.get_logger()
_LOOK = 1.0  # seconds between two looks at what others ask and have answered


class Questions(Protocol):
    """The part of `mgmt.store.redis_store.RedisStore` that is needed."""

    async def ask_listing(self, cluster: str) -> int: ...

    async def answer_listing(self, cluster: str, number: int) -> None: ...

    async def listings(self) -> tuple[Mapping[str, int], Mapping[str, int]]: ...


class _Asked(NamedTuple):
    """The number of a question, and of the demand that it is for."""

    number: int
    demand: int


class Elsewhere:
    def __init__(self, store: Questions, relisting: Relisting, caught_up: Callable[[], Awaitable[bool]]) -> None:
        """`caught_up` reads what others have written, and says whether it could."""
        self._store, self._relisting, self._caught_up = store, relisting, caught_up
        self._asked: dict[str, _Asked] = {}  # by this replica
        self._asked_here: dict[str, int] = {}  # by others, of agents that are connected here

    async def run(self) -> Never:
        """With Redis away nobody can be asked, and what is held stays held."""
        while True:
            try:
                await self.exchange()
            except StoreError as e:
                log.debug("relisting.elsewhere.silent", reason=str(e))
            await asyncio.sleep(_LOOK)

    async def exchange(self) -> None:
        asked, answered = await self._store.listings()
        elsewhere = self._relisting.elsewhere
        self._asked = {
            cluster: one for cluster, one in self._asked.items() if elsewhere.get(cluster, 0) == one.demand
        }  # what was lost after the question is not told by its answer
        for cluster, demand in sorted(elsewhere.items()):
            one = self._asked.get(cluster)
            if one is None or asked.get(cluster, 0) < one.number:  # Redis may have forgotten the question
                self._asked[cluster] = _Asked(await self._store.ask_listing(cluster), demand)
            elif answered.get(cluster, 0) >= one.number and await self._is_known(cluster, demand):
                del self._asked[cluster]
                self._relisting.answered(cluster)
        for cluster in sorted(self._relisting.here):
            number = asked.get(cluster, 0)
            if number > answered.get(cluster, 0) and number != self._asked_here.get(cluster):
                self._asked_here[cluster] = number
                self._relisting.demand((cluster,))

    async def _is_known(self, cluster: str, demand: int) -> bool:
        """What the answer has brought; and nothing more was lost meanwhile."""
        return await self._caught_up() and self._relisting.elsewhere.get(cluster, 0) == demand

    async def concluded(self, cluster: str, *, stored: bool) -> None:
        """Its new listing is complete. An answer that cannot be given now leaves the question, which is seen again."""
        number = self._asked_here.pop(cluster, 0)
        if not number or not stored:
            return
        try:
            await self._store.answer_listing(cluster, number)
        except StoreError as e:
            log.info("relisting.answer.lost", cluster=cluster, reason=str(e))
