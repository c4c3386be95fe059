"""The lead of a turn: changes go into the translator, its result goes to the publisher and to the statuses.

Implements `mgmt.ingest.values.Pipeline`. No I/O: what costs I/O is handed on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from fingerpost.objects import ObjectKey, canonical
from fingerpost.relay.objects import STATUS, name_of
from fingerpost.relay.pieces import PieceList, Role, piece
from mgmt.ingest.values import ClusterStates, InputChange
from mgmt.publish.publisher import Publisher
from mgmt.relay.ports import Metrics
from mgmt.translate.engine import Failure
from mgmt.translate.scopes import ResourceKey
from mgmt.translate.status import Status
from mgmt.translate.translator import Translator
from mgmt.translate.turn import Turn

log = structlog.get_logger()


class Result(NamedTuple):
    turn: Turn
    changed: tuple[ObjectKey, ...]
    seen_unix_nanos: int
    traceparent: str
    cold: frozenset[str] = frozenset()


class Pipeline:
    """`on_statuses` gets the changed statuses of objects that live in the management cluster."""

    def __init__(
        self,
        translator: Translator,
        publisher: Publisher,
        metrics: Metrics,
        on_statuses: Callable[[Mapping[ObjectKey, Status | None]], None],
        on_published: Callable[[int], None] = lambda _: None,
        observe: Callable[[str, float], None] = lambda _name, _value: None,
    ) -> None:
        self.changed_at: dict[ObjectKey, int] = {}
        self._translator, self._publisher, self._metrics = translator, publisher, metrics
        self._on_statuses, self._on_published, self._observe = on_statuses, on_published, observe
        self._cold: frozenset[str] = frozenset()
        self._homes: set[str] = set()
        self._failed: dict[tuple[str, object], str] = {}

    def clusters(self, states: ClusterStates, *, hold: bool) -> None:
        """Before the turn in which it counts: who is not there yet (relay.md §7.3)."""
        cold = [name for name, s in states.clusters.items() if not s.ready and not s.skip_warming]
        self._cold = frozenset(cold if hold else ())
        self._homes = {self._translator.place.cluster, *states.clusters}
        self._translator.set_cold(self._cold)
        for name, state in states.clusters.items():
            self._metrics.set("relay_translation_held", float(hold and not state.ready), cluster=name)

    def translate(self, changes: Sequence[InputChange]) -> Result:
        began = time.perf_counter()
        self._translator.feed((change.key, change.body) for change in changes)
        turn = self._translator.turn()
        turn.cluster_scopes = self._scopes(turn.statuses)
        self._report(self._translator.failures())
        self._observe("gloo_mesh_translation_time_sec", time.perf_counter() - began)
        seen = [change.seen_unix_nanos for change in changes if change.seen_unix_nanos]
        traceparent = next((change.traceparent for change in changes if change.traceparent), "")
        return Result(turn, tuple(change.key for change in changes), min(seen, default=0), traceparent, self._cold)

    def publish(self, results: Sequence[object], seq: int) -> None:
        for result in results:
            if not isinstance(result, Result):
                raise TypeError(f"expected a Result, got {type(result).__name__}")
            for key in result.changed:
                self.changed_at[key] = seq
            self._publisher.set_cold(result.cold, self._homes)
            self._publisher.publish(result.turn, seq, result.seen_unix_nanos, result.traceparent)
            mine = {k: s for k, s in result.turn.statuses.items() if k.cluster == self._translator.place.cluster}
            if mine:
                self._on_statuses(mine)
        self._publisher.config_version = max(self._publisher.config_version, seq)
        if self._publisher.catch_up(seq):  # what agents hold of before says nothing about these inputs
            self.changed_at = dict.fromkeys(self.changed_at, seq)
        self._on_published(seq)

    def _scopes(self, statuses: Mapping[ObjectKey, Status | None]) -> dict[str, dict[ResourceKey, PieceList | None]]:
        """Statuses of objects in workload clusters travel in the scope of the cluster itself."""
        out: dict[str, dict[ResourceKey, PieceList | None]] = {}
        for key, status in statuses.items():
            if key.cluster == self._translator.place.cluster:
                continue
            pieces = None
            if status is not None:
                pieces = PieceList([piece(Role.TOP, key.contribution, canonical(status.as_json()))])
            out.setdefault(key.cluster, {})[STATUS, name_of(key)] = pieces
        return out

    def _report(self, failures: Iterable[Failure]) -> None:
        """Each new failure once, with the object's name; its last good output stays in force (M-54)."""
        now: dict[tuple[str, object], str] = {}
        for node, key, error in failures:
            text = f"{type(error).__name__}: {error}"
            now[node, key] = text
            if self._failed.get((node, key)) != text:
                self._metrics.add("translation_error", workspace="", gvk=node, namespace=str(key))
                log.error("translate.unit.failed", step=node, resource=str(key), error=text, exc_info=error)
        self._failed = now
