"""Watchers of a cluster: each has its own pending changes, the newest per key, so that a slow one costs memory per
object and not per change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

from fingerpost.cluster.protocol import Batch, Change, Finding
from fingerpost.objects import ObjectKey


class Feed:
    """`types` may hold patterns such as `*.gloo.solo.io/*`; None means all."""

    def __init__(self, types: Collection[str] | None) -> None:
        self._types = None if types is None else tuple(types)
        self._wants: dict[str, bool] = {}
        self._pending: dict[ObjectKey, bytes | None] = {}
        self._listed = False
        self._unlisted: frozenset[str] = frozenset()
        self._findings: tuple[Finding, ...] = ()
        self._told: tuple[Finding, ...] | None = None
        self._seen = 0
        self._ready = asyncio.Event()

    def wants(self, type_: str) -> bool:
        if self._types is None:
            return True
        known = self._wants.get(type_)
        if known is None:
            known = self._wants[type_] = any(fnmatchcase(type_, pattern) for pattern in self._types)
        return known

    def list(
        self,
        objects: Mapping[ObjectKey, bytes],
        findings: tuple[Finding, ...],
        seen: int,
        *,
        listed: bool,
        unlisted: frozenset[str] = frozenset(),
    ) -> None:
        """Everything there is; replaces what was pending, but for deletions not told yet: they are told as well."""
        pending: dict[ObjectKey, bytes | None] = {key: None for key, body in self._pending.items() if body is None}
        pending |= {key: body for key, body in objects.items() if self.wants(key.type)}
        self._pending = pending
        self._listed, self._unlisted = listed, unlisted
        self._findings = findings
        self._told = None
        self._seen = self._seen or seen
        self._ready.set()

    def change(self, changes: Iterable[Change], findings: tuple[Finding, ...], seen: int) -> None:
        for key, body in changes:
            if self.wants(key.type):
                self._pending[key] = body
        self._findings = findings
        if self._pending or self._told != findings:
            self._seen = self._seen or seen
            self._ready.set()

    def tell(self) -> None:
        """Whether anything has changed or not."""
        self._ready.set()

    async def next(self) -> Batch:
        await self._ready.wait()
        self._ready.clear()
        batch = Batch(
            tuple(Change(key, body) for key, body in self._pending.items()),
            self._listed,
            self._findings,
            self._seen,
            self._unlisted,
        )
        self._pending = {}
        self._listed = False
        self._told = self._findings
        self._seen = 0
        return batch
