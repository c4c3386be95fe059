"""Gauges that are read when somebody asks for the metrics: what is no longer there is not shown (relay.md §13.2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from mgmt.ingest.liveness import warmed
from mgmt.ingest.values import ClusterStates
from mgmt.relay.gate import Gate
from mgmt.relay.shown import certificate_expiry, certificate_lifetime

Series = Iterable[tuple[float, Mapping[str, str]]]


class _Ingest(Protocol):
    @property
    def states(self) -> ClusterStates: ...

    def elsewhere(self, cluster: str) -> bool: ...


class Gauges:
    """`held()`: by cluster, whether what depends on it waits. `rejected()` gives its series as they are."""

    def __init__(
        self,
        management: str,
        ingest: _Ingest,
        gate: Gate,
        held: Callable[[], Mapping[str, bool]],
        rejected: Callable[[], Series],
    ) -> None:
        self._management, self._ingest, self._gate = management, ingest, gate
        self._held, self._rejected = held, rejected

    def watched(self, watch: Callable[[str, Callable[[], Series]], Callable[[], None]]) -> Iterator[Callable[[], None]]:
        """The ends of what `watch` has begun."""
        yield watch("relay_certificate_expiry_seconds", self._expiry)
        yield watch("relay_certificate_lifetime_seconds", self._lifetime)
        yield watch("relay_push_clients_warmed", self._warmed)
        yield watch("relay_rejected_objects", self._rejected)
        yield watch("relay_translation_held", self._waits)

    def _expiry(self) -> Series:
        own = self._gate.secrets.valid() if self._gate.secrets else {}
        clusters, elsewhere = self._ingest.states.clusters, self._ingest.elsewhere
        return certificate_expiry(own, clusters, self._management, elsewhere, time.time())

    def _lifetime(self) -> Series:
        own = self._gate.secrets.valid() if self._gate.secrets else {}
        return certificate_lifetime(own, self._ingest.states.clusters, self._management, self._ingest.elsewhere)

    def _warmed(self) -> Series:
        return warmed(self._ingest.states.clusters, self._ingest.elsewhere)

    def _waits(self) -> Series:
        return ((float(held), {"cluster": cluster}) for cluster, held in self._held().items())
