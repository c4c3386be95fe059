"""Which gateways an object concerns, and how far its last change has come there (design D9).

Made anew for each question: it is a view of one moment. Listing ten thousand tables must not cost objects x gateways.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from fingerpost.objects import ObjectKey
from fingerpost.relay.objects import ISTIO_SCOPE
from mgmt.admin.ports import Plane
from mgmt.admin.times import rfc3339
from mgmt.publish.arrival import ArrivalView, GatewayState, Missing
from mgmt.relay.ports import ScopeView
from mgmt.translate.graph.inputs import ROUTE_TABLE, VIRTUAL_GATEWAY
from mgmt.translate.routing.destination_views import EXTERNAL_SERVICE, SERVICE, VIRTUAL_DESTINATION
from mgmt.translate.scopes import GatewayClass, GatewayKey
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
        self._federated = plane.translator.views.federated_by_service
        self._fronts: dict[frozenset[GatewayKey], _Front] = {}
        self._clusters = tuple(plane.translator.owners.all_clusters(self._context))

    def gateways(self, key: ObjectKey) -> frozenset[GatewayKey]:
        """Only gateways that this server configures."""
        return self._plain(key) | {(at.cluster, ISTIO_SCOPE) for at in self._context.by(self._istio.clusters_of, key)}

    def _plain(self, key: ObjectKey) -> frozenset[GatewayKey]:
        if key.type == ROUTE_TABLE:
            return self._of_classes(self._table_classes(key))
        if key.type == VIRTUAL_GATEWAY:
            placed = self._context.by(self._plane.translator.gateways.envoy.by_virtual, key)
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
        found = [exposed.get((key, cluster)) for cluster in self._clusters]
        federated = self._plane.translator.destinations.exposed_federated.items
        found += (federated.get(name) for name in self._context.by(self._federated, key))
        return frozenset(gateway_key(g) for e in found if e for g in e.gateways) & self._planned

    def _of_classes(self, classes: Iterable[GatewayClass]) -> frozenset[GatewayKey]:
        return frozenset(gateway for c in dict.fromkeys(classes) for gateway in self._classes.get(c, ()))

    def arrival(self, key: ObjectKey) -> ArrivalView:
        concerned = self.gateways(key)
        seq = self._plane.changed_at(key)
        kept_back = self._kept_back(key, concerned)
        if kept_back:
            rest = [self._at(gateway, key.contribution, seq) for gateway in sorted(concerned - kept_back.keys())]
            held = ArrivalView(arrived=0, total=len(kept_back), missing=tuple(m for _, m in sorted(kept_back.items())))
            return _together([held, *rest])
        front = self._front(concerned)
        if seq <= front.watermark and key.contribution not in front.exceptions:
            total = len(front.gateways)
            return ArrivalView(arrived=total, total=total, no_proxy=front.bare)
        return _together([self._at(gateway, key.contribution, seq) for gateway in sorted(concerned)])

    def _kept_back(self, key: ObjectKey, concerned: Iterable[GatewayKey]) -> dict[GatewayKey, Missing]:
        """The gateways at which an older version of the object is in force, since something is rolled back."""
        outputs = self._plane.outputs
        if outputs is None or not outputs.rollbacks:
            return {}
        body, out = self._plane.translator.inputs.body(key), {}
        for gateway in concerned:
            if (by := outputs.held(key, body, gateway[0])) is not None:
                name = "/".join(gateway)
                out[gateway] = Missing(gateway=name, reason=f"RolledBack: {by}", since_unix_nanos=by.at_unix_nanos)
        return out

    def _at(self, gateway: GatewayKey, contribution: str, seq: int) -> ArrivalView:
        plane = self._plane
        if (told := plane.told(gateway)) is not None:
            return plane.publisher.arrivals.of(contribution, seq, (gateway,), (gateway[0],), {gateway: told})
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
            told = self._plane.told(gateway)
            state = told or self._plane.publisher.arrivals.gateways.get(gateway, GatewayState())
            scope = self._plane.publisher.scopes(gateway[0]).get(gateway[1])
            if state.watermark is None or scope is None:
                lowest = -1
            elif told is not None or state.watermark < scope.version:
                lowest = min(lowest, state.watermark)
            exceptions.update(e.contribution for e in state.exceptions)
            if state.proxies == 0:
                bare.append(f"{gateway[0]}/{gateway[1]}")
        return _Front(tuple(concerned), lowest, frozenset(exceptions), tuple(bare))


def _together(views: Iterable[ArrivalView]) -> ArrivalView:
    found = tuple(views)
    return ArrivalView(
        arrived=sum(v.arrived for v in found),
        total=sum(v.total for v in found),
        missing=tuple(m for v in found for m in v.missing),
        no_proxy=tuple(name for v in found for name in v.no_proxy),
    )


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
