"""Several groups into as few Lua calls as their size allows, with one result as if it had been one call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from fingerpost.objects import ObjectKey
from mgmt.ingest.pending import WRITES_A_CALL
from mgmt.store.values import Attached, Entry, Fence, Group, Loaded, Source, Stored, WriteResult


class Store(Protocol):
    """What ingest needs of `mgmt.store.redis_store.RedisStore`."""

    replica: str

    async def attach(self, at_least: int) -> Attached: ...
    async def load(self) -> Loaded: ...
    async def hashes(self, cluster: str | None = None) -> dict[ObjectKey, bytes]: ...
    async def fetch(self, keys: Iterable[ObjectKey]) -> dict[ObjectKey, Stored | None]: ...
    async def write(self, groups: tuple[Group, ...], known: int) -> WriteResult: ...
    async def claim(self, source: Source) -> Fence: ...
    async def reclaim(self, fence: Fence) -> Fence | None: ...
    async def lease(self, source: Source, ttl: float) -> Fence | None: ...
    async def beat(self, ttl: float) -> None: ...
    async def raise_seq(self, at_least: int) -> int: ...


async def exchange(store: Store, groups: Iterable[Group], known: int) -> WriteResult:
    """Always at least one call, since it also brings what was missed."""
    missed: dict[ObjectKey, Entry] = {}
    refused: frozenset[Source] = frozenset()
    gap = False
    for batch in _batches(groups):
        result = await store.write(batch, known)
        known = result.seq
        gap = gap or result.gap
        refused |= result.refused
        for entry in result.missed:
            if entry.drops_set:
                dropped = [k for k in missed if (k.cluster, k.type) == (entry.key.cluster, entry.key.type)]
                for key in dropped:
                    del missed[key]
            missed.pop(entry.key, None)
            missed[entry.key] = entry
    return WriteResult(known, tuple(missed.values()), gap, refused)


def _batches(groups: Iterable[Group]) -> Iterable[tuple[Group, ...]]:
    batch: list[Group] = []
    size = 0
    any_yielded = False
    for group in groups:
        if batch and size + len(group.writes) > WRITES_A_CALL:
            yield tuple(batch)
            any_yielded, batch, size = True, [], 0
        batch.append(group)
        size += len(group.writes)
    if batch or not any_yielded:
        yield tuple(batch)
