"""Which gateways an object concerns, and how far its last change has come there (design D9).

Made anew for each question: it is a view of one moment. Listing ten thousand tables must not cost objects x gateways.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from fingerpost.objects import ObjectKey
from mgmt.admin.ports import Plane
from mgmt.admin.times import rfc3339
from mgmt.publish.arrival import ArrivalView, GatewayState
from mgmt.relay.ports import ScopeView
from mgmt.translate.graph.inputs import EXTERNAL_SERVICE, ROUTE_TABLE, SERVICE, VIRTUAL_DESTINATION, VIRTUAL_GATEWAY
from mgmt.translate.scopes import ISTIO, GatewayClass, GatewayKey
from mgmt.translate.translator import gateway_key

DESTINATIONS = frozenset({VIRTUAL_DESTINATION, EXTERNAL_SERVICE, SERVICE})
SERVED = frozenset({ROUTE_TABLE, VIRTUAL_GATEWAY, *DESTINATIONS})


class _Front(NamedTuple):
    """Some gateways taken together: the change at or below `watermark` is everywhere, but for the exceptions."""

    gateways: tuple[GatewayKey, ...]
    watermark: float
    exceptions: frozenset[str]
    bare: tuple[str, ...]


class Reach:
    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._context = plane.translator.peek()
        self._classes: dict[GatewayClass, list[GatewayKey]] = {}
        self._planned: set[GatewayKey] = set()
        for key, gateway_class in plane.translator.classes.of_gateway.items.items():
            gateway = gateway_key(key)
            self._classes.setdefault(gateway_class, []).append(gateway)
            self._planned.add(gateway)
        self._istio = plane.translator.istio
        self._fronts: dict[frozenset[GatewayKey], _Front] = {}
        self._clusters = tuple(plane.translator.owners.all_clusters(self._context))

    def gateways(self, key: ObjectKey) -> frozenset[GatewayKey]:
        """Only gateways that this server configures."""
        return self._plain(key) | {(at.cluster, ISTIO) for at in self._context.by(self._istio.clusters_of, key)}

    def _plain(self, key: ObjectKey) -> frozenset[GatewayKey]:
        if key.type == ROUTE_TABLE:
            return self._of_classes(self._table_classes(key))
        if key.type == VIRTUAL_GATEWAY:
            placed = self._context.by(self._plane.translator.gateways.by_virtual, key)
            return frozenset(self._planned.intersection(gateway_key(gateway) for _, gateway in placed))
        if key.type in DESTINATIONS:
            return self._of_classes(self._user_classes(key)) | self._exposing(key)
        return frozenset()

    def _table_classes(self, key: ObjectKey) -> Iterable[GatewayClass]:
        translator = self._plane.translator
        for route_class, _ in self._context.by(translator.tables.contributions_by_table, key):
            yield from translator.composer.classes_of(route_class)

    def _user_classes(self, key: ObjectKey) -> Iterable[GatewayClass]:
        translator = self._plane.translator
        for destination in self._context.by(translator.destinations.built_by_object, key):
            yield from translator.composer.users_of(destination)

    def _exposing(self, key: ObjectKey) -> frozenset[GatewayKey]:
        """East-west gateways that let in what is meant for this destination."""
        exposed = self._plane.translator.destinations.exposed.items
        found = (exposed.get((key, cluster)) for cluster in self._clusters)
        return frozenset(gateway_key(g) for e in found if e for g in e.gateways) & self._planned

    def _of_classes(self, classes: Iterable[GatewayClass]) -> frozenset[GatewayKey]:
        return frozenset(gateway for c in dict.fromkeys(classes) for gateway in self._classes.get(c, ()))

    def arrival(self, key: ObjectKey) -> ArrivalView:
        concerned = self.gateways(key)
        seq = self._plane.changed_at(key)
        front = self._front(concerned)
        if seq <= front.watermark and key.contribution not in front.exceptions:
            total = len(front.gateways)
            return ArrivalView(arrived=total, total=total, no_proxy=front.bare)
        views = [self._at(gateway, key.contribution, seq) for gateway in sorted(concerned)]
        return ArrivalView(
            arrived=sum(v.arrived for v in views),
            total=len(views),
            missing=tuple(m for v in views for m in v.missing),
            no_proxy=tuple(name for v in views for name in v.no_proxy),
        )

    def _at(self, gateway: GatewayKey, contribution: str, seq: int) -> ArrivalView:
        plane = self._plane
        scope = plane.publisher.scopes(gateway[0]).get(gateway[1])
        online = (gateway[0],) if plane.ingest.owns(gateway[0]) else ()
        return plane.publisher.arrivals.of(contribution, _telling(scope, seq), (gateway,), online)

    def _front(self, concerned: frozenset[GatewayKey]) -> _Front:
        front = self._fronts.get(concerned)
        if front is None:
            front = self._fronts[concerned] = self._gather(sorted(concerned))
        return front

    def _gather(self, concerned: list[GatewayKey]) -> _Front:
        lowest = float("inf")
        exceptions: set[str] = set()
        bare = []
        for gateway in concerned:
            state = self._plane.publisher.arrivals.gateways.get(gateway, GatewayState())
            scope = self._plane.publisher.scopes(gateway[0]).get(gateway[1])
            if state.watermark is None or scope is None:
                lowest = -1
            elif state.watermark < scope.version:
                lowest = min(lowest, state.watermark)
            exceptions.update(e.contribution for e in state.exceptions)
            if state.proxies == 0:
                bare.append(f"{gateway[0]}/{gateway[1]}")
        return _Front(tuple(concerned), lowest, frozenset(exceptions), tuple(bare))


def _telling(scope: ScopeView | None, seq: int) -> int:
    """The version whose acknowledgement shows that `seq` is there: a change without effect there sends none."""
    if scope is None:
        return seq
    if scope.version <= seq:
        return scope.version
    oldest = seq
    for entry in reversed(scope.log):
        if entry.version <= seq:
            return entry.version
        oldest = entry.previous
    return min(oldest, seq)


def arrival_json(view: ArrivalView, seq: int) -> dict[str, Any]:
    missing = [
        {
            "gateway": m.gateway,
            "reason": m.reason,
            **({"since": rfc3339(m.since_unix_nanos)} if m.since_unix_nanos else {}),
        }
        for m in view.missing
    ]
    return {
        "configVersion": seq,
        "arrived": view.arrived,
        "total": view.total,
        "missing": missing,
        "noProxy": list(view.no_proxy),
    }
