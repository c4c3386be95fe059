"""The lead of a turn: changes go into the translator, its result goes to the publisher and to the statuses.

Implements `mgmt.ingest.values.Pipeline`. No I/O: what costs I/O is handed on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import structlog

from fingerpost.api.common import ApprovalState
from fingerpost.api.kinds import KINDS
from fingerpost.objects import ObjectKey
from mgmt.changes.journal import Journal
from mgmt.changes.passage import Translated, came
from mgmt.ingest.values import ClusterStates, InputChange
from mgmt.pins.outputs import Outputs
from mgmt.publish.publisher import Publisher
from mgmt.relay.ports import Metrics
from mgmt.translate.engine import Failure
from mgmt.translate.graph.freezing import pin_of_key
from mgmt.translate.scopes import GatewayKey
from mgmt.translate.status import Status
from mgmt.translate.status_scopes import status_scopes
from mgmt.translate.translator import Translator, failed_objects
from mgmt.translate.turn import Turn

log = structlog.get_logger()


_COUNTED = {
    ApprovalState.WARNING: "translation_warning",
    ApprovalState.INVALID: "translation_error",
    ApprovalState.FAILED: "translation_error",
}
_VERSIONS = {kind.type: kind.version for kind in KINDS}


def _gvk(type_: str) -> str:
    group, _, kind = type_.partition("/")
    return f"{group}/{_VERSIONS.get(type_, 'v1')}, Kind={kind}"


class Result(NamedTuple):
    turn: Turn
    changed: tuple[ObjectKey, ...]
    work: Translated
    cold: frozenset[str] = frozenset()


class Pipeline:
    """`on_statuses` gets the statuses that changed."""

    def __init__(
        self,
        translator: Translator,
        publisher: Publisher,
        metrics: Metrics,
        journal: Journal,
        on_statuses: Callable[[Mapping[ObjectKey, Status | None]], None],
        on_published: Callable[[int], None] = lambda _: None,
        observe: Callable[[str, float], None] = lambda _name, _value: None,
    ) -> None:
        self.changed_at: dict[ObjectKey, int] = {}
        self.outputs = Outputs(translator, lambda: Translator(translator.place))
        self.on_changed: Callable[[int, Iterable[ObjectKey], Callable[[], Iterable[GatewayKey]]], None]
        self.on_changed = lambda *_: None
        self.on_accepted: Callable[[Mapping[str, bytes | None]], None] = lambda _: None  # pins, by name
        self._translator, self._publisher, self._metrics, self._journal = translator, publisher, metrics, journal
        self._on_statuses, self._on_published, self._observe = on_statuses, on_published, observe
        self.held: dict[str, bool] = {}  # by cluster: `relay_translation_held`
        self._cold: frozenset[str] = frozenset()
        self._homes: set[str] = set()
        self._failed: dict[tuple[str, object], str] = {}

    def clusters(self, states: ClusterStates, *, hold: bool) -> None:
        """Before the turn in which it counts: who is not there yet (relay.md §7.3)."""
        cold = [name for name, s in states.clusters.items() if not s.ready and not s.skip_warming]
        self._cold = frozenset(cold if hold else ())
        self._homes = {self._translator.place.cluster, *states.clusters}
        self.outputs.set_cold(self._cold)
        self.held = {name: hold and not state.ready for name, state in states.clusters.items()}

    def translate(self, changes: Sequence[InputChange]) -> Result:
        began, began_unix_nanos = time.perf_counter(), time.time_ns()
        turn = self.outputs.turn([(change.key, change.body) for change in changes])
        turn.cluster_scopes = status_scopes(self._translator.place.cluster, turn.statuses)
        self._report(self.outputs.failures())
        self._observe("gloo_mesh_translation_time_sec", time.perf_counter() - began)
        work = Translated(came(changes), began_unix_nanos, time.time_ns(), turn.steps, self.outputs.ended)
        return Result(turn, tuple(change.key for change in changes), work, self._cold)

    def publish(self, results: Sequence[object], seq: int, stored_unix_nanos: int = 0) -> None:
        for result in results:
            if not isinstance(result, Result):
                raise TypeError(f"expected a Result, got {type(result).__name__}")
            for key in result.changed:
                self.changed_at[key] = seq
            self._publisher.set_cold(result.cold, self._homes)
            passage = self._journal.translated(result.work, seq, stored_unix_nanos)
            told = self._publisher.publish(result.turn, seq, passage.seen, passage.traceparent)
            self._journal.published(passage, told)
            self._journal.gone(gateway for gateway, planned in result.turn.gateways.items() if planned is None)
            self._count(result.turn.statuses)
            if result.turn.accepted:
                self.on_accepted({pin_of_key(key): body for key, body in result.turn.accepted.items()})
            self.on_changed(seq, result.changed, partial(self._publisher.touched, result.turn))
            if result.turn.statuses:
                self._on_statuses(result.turn.statuses)
        self._publisher.config_version = max(self._publisher.config_version, seq)
        if self._publisher.catch_up(seq):  # what agents hold of before says nothing about these inputs
            self.changed_at = dict.fromkeys(self.changed_at, seq)
        self._on_published(seq)

    def _count(self, statuses: Mapping[ObjectKey, Status | None]) -> None:
        """Each time that an object comes to be wrong, or is wrong in another way (relay.md §13.2)."""
        for key, status in statuses.items():
            name = _COUNTED.get(status.approval) if status else None
            if name is not None and status is not None:
                self._metrics.add(name, workspace=status.workspace, gvk=_gvk(key.type), namespace=key.namespace)

    def _report(self, failures: Iterable[Failure]) -> None:
        """Each new failure once, with the object's name; its last good output stays in force (M-54)."""
        now: dict[tuple[str, object], str] = {}
        for node, key, error in failures:
            text = f"{type(error).__name__}: {error}"
            now[node, key] = text
            if self._failed.get((node, key)) != text:
                if not failed_objects([Failure(node, key, error)]):  # else its status says so, and is counted
                    self._metrics.add("translation_error", workspace="", gvk=node, namespace="")
                log.error("translate.unit.failed", step=node, resource=str(key), error=text, exc_info=error)
        self._failed = now
