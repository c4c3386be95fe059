"""Keeps the way of the last change of each object, in bounded memory, and measures how long changes take.

It is called once per turn and once per agent's answer, so it only notes moments: what is asked of it is worked out
when somebody asks (`mgmt.admin.ways`), and spans are made in `mgmt.changes.spans`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from fingerpost.objects import ObjectKey
from fingerpost.relay.applied import ScopeApplied
from fingerpost.relay.objects import CLUSTER_SCOPE
from mgmt.changes.passage import Passage, Translated
from mgmt.changes.spans import Spans
from mgmt.translate.scopes import GatewayKey

METRIC = "relay_propagation_seconds"
_CELLS = 50_000  # objects and gateways of all turns that are kept, 200 bytes each
_AWAITED = 256  # turns that a gateway may owe; of an agent that is away longer, only the newest are followed
_AT_ONCE = 4096  # measurements that wait for somebody to read them


class Journal:
    """`observe(name, seconds, cluster)` is the histogram; it costs, so it is fed when it is read (`measured`)."""

    def __init__(
        self,
        now: Callable[[], int],
        spans: Spans,
        observe: Callable[[str, float, str], None] = lambda _name, _value, _cluster: None,
        cells: int = _CELLS,
    ) -> None:
        self._now, self._spans, self._observe, self._room = now, spans, observe, cells
        self._kept: deque[Passage] = deque()
        self._cells = 0
        self._last: dict[ObjectKey, Passage] = {}
        self._owed: dict[str, dict[GatewayKey, deque[Passage]]] = {}  # by cluster
        self._measured: list[tuple[str, float]] = []

    def translated(self, work: Translated, seq: int, stored: int) -> Passage:
        """Before it is published: agents are to go on under its `traceparent`."""
        passage = Passage(work, seq, stored)
        if self._spans.on and passage.came:
            self._spans.translated(passage, work.steps)
        return passage

    def published(self, passage: Passage, told: Iterable[GatewayKey]) -> None:
        if not (passage.came or passage.released):
            return
        passage.published = self._now()
        for gateway in told:
            if gateway[1] == CLUSTER_SCOPE:
                continue
            passage.gateways[gateway] = 0
            there = self._owed.setdefault(gateway[0], {})
            if gateway not in there:
                there[gateway] = deque(maxlen=_AWAITED)
            there[gateway].append(passage)
        self._keep(passage)
        self._spans.published(passage)

    def _keep(self, passage: Passage) -> None:
        if len(passage.came) > self._room:
            passage.came = passage.came[: self._room]
        passage.weight = 1 + len(passage.came) + len(passage.gateways)
        self._kept.append(passage)
        self._cells += passage.weight
        for one in passage.came:
            self._last[one.key] = passage
        while self._cells > self._room and len(self._kept) > 1:
            oldest = self._kept.popleft()
            self._cells -= oldest.weight
            for one in oldest.came:
                if self._last.get(one.key) is oldest:
                    del self._last[one.key]

    def applied(self, cluster: str, scopes: Sequence[ScopeApplied]) -> None:
        """An agent's answer: up to the watermark everything is acknowledged."""
        at, there = 0, self._owed.get(cluster, {})
        for scope in scopes:
            gateway = (cluster, scope.scope)
            owed = there.get(gateway)
            while owed and owed[0].seq <= scope.watermark:
                at = at or self._now()
                passage = owed.popleft()
                passage.gateways[gateway] = at
                if passage.arrived(there):
                    self._arrived(passage, cluster, at)
        if len(self._measured) > _AT_ONCE:
            self.measured()

    def _arrived(self, passage: Passage, cluster: str, at: int) -> None:
        for seen in {c.seen for c in passage.came if c.seen}:
            self._measured.append((cluster, max(0, at - seen) / 1e9))
        self._spans.applied(passage, cluster, at)

    def gone(self, gateways: Iterable[GatewayKey]) -> None:
        """Nobody owes anything there any more."""
        for gateway in gateways:
            there = self._owed.get(gateway[0], {})
            for passage in there.pop(gateway, ()):
                passage.gateways.pop(gateway, None)
            if not there:
                self._owed.pop(gateway[0], None)

    def measured(self) -> None:
        """Into the histogram with what has been measured."""
        measured, self._measured = self._measured, []
        for cluster, seconds in measured:
            self._observe(METRIC, seconds, cluster)

    # ---------------------------------------------------------------- questions

    def last(self, key: ObjectKey) -> Passage | None:
        """None: nothing has changed since this process began, or it is too long ago."""
        return self._last.get(key)

    def at(self, seq: int) -> list[Passage]:
        """The turn that made this config_version."""
        return [passage for passage in self._kept if passage.seq == seq and passage.came]

    def releases(self) -> list[Passage]:
        """Turns in which rollbacks ended, newest first."""
        return [passage for passage in reversed(self._kept) if passage.released]

    @property
    def sizes(self) -> dict[str, int]:
        owed = sum(len(waiting) for there in self._owed.values() for waiting in there.values())
        return {"turns": len(self._kept), "objects": len(self._last), "cells": self._cells, "awaited": owed}
