"""Which facts each cluster's agent is asked for: Secrets that listeners name, Services behind destinations, labels of
subsets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fingerpost.objects import ObjectKey
from fingerpost.relay.interest import Interest
from mgmt.translate.engine import Context, Engine
from mgmt.translate.graph.destinations import DestinationGraph
from mgmt.translate.graph.gateways import GatewayGraph, PlannedGateway
from mgmt.translate.graph.world import FederatedKey, ViewGraph
from mgmt.translate.ir import Destination
from mgmt.translate.routing.destination_views import VirtualDestinationView
from mgmt.translate.routing.gateway_plan import needed_secrets
from mgmt.translate.routing.virtual_destinations import Backing

Want = tuple[str, str, str]  # cluster ("" for all), what ("secrets", "services", "label_keys"), name


class _Wants:
    """All wants of one cluster, counted."""

    def __init__(self, cluster: str) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def change(self, key: Any, old: bool | None, new: bool | None) -> None:
        want = (key[1][1], key[1][2])
        count = self._counts.get(want, 0) + (new is not None) - (old is not None)
        if count:
            self._counts[want] = count
        else:
            self._counts.pop(want, None)

    def result(self) -> frozenset[tuple[str, str]] | None:
        return frozenset(self._counts) or None


class InterestGraph:
    def __init__(
        self, engine: Engine, gateways: GatewayGraph, views: ViewGraph, destinations: DestinationGraph
    ) -> None:
        self._of_gateways = engine.step("secrets wanted", gateways.envoy.plans, self._secrets)
        self._of_backing = engine.step("services wanted", destinations.backing, self._services)
        self._of_federated = engine.step("federated services wanted", views.federated, self._federated)
        self._of_uses = engine.step("labels wanted", destinations.used, self._labels)
        sources: Any = (self._of_gateways, self._of_backing, self._of_federated, self._of_uses)
        self._wanted = engine.fold("interest", sources, lambda key, _: (key[1][0],), _Wants)
        self._told: dict[str, Interest] = {}

    def _secrets(self, context: Context, key: ObjectKey, planned: PlannedGateway) -> dict[tuple[Any, Want], bool]:
        names = needed_secrets(planned.plan)
        return {(key, (key.cluster, "secrets", f"{key.namespace}/{name}")): True for name in names}

    def _services(self, context: Context, key: ObjectKey, backing: Backing) -> dict[tuple[Any, Want], bool]:
        services = (b.key for b in backing.services)
        return {(key, (s.cluster, "services", f"{s.namespace}/{s.name}")): True for s in services}

    def _federated(
        self, context: Context, key: FederatedKey, view: VirtualDestinationView
    ) -> dict[tuple[Any, Want], bool]:
        service = view.key
        return {(key, (service.cluster, "services", f"{service.namespace}/{service.name}")): True}

    def _labels(self, context: Context, destination: Destination, _: bool) -> dict[tuple[Any, Want], bool]:
        return {(destination, ("", "label_keys", name)): True for name, _ in destination.subset}

    def of(self, cluster: str) -> Interest:
        wanted = self._wanted.items.get(cluster, frozenset()) | self._wanted.items.get("", frozenset())

        def names(what: str) -> tuple[str, ...]:
            return tuple(sorted(name for kind, name in wanted if kind == what))

        services = names("services")
        # Labels are told of the pods behind those services; with none of them a subset is of no concern here.
        label_keys = names("label_keys") if services else ()
        return Interest(secrets=names("secrets"), label_keys=label_keys, services=services)

    def changed(self) -> dict[str, Interest]:
        """Those clusters whose interest is another than last told."""
        delta = self._wanted.delta
        clusters: Iterable[str] = {*self._told, *self._wanted.items} - {""} if "" in delta else delta
        out = {}
        for cluster in clusters:
            interest = self.of(cluster)
            if self._told.get(cluster, Interest()) != interest:
                self._told[cluster] = out[cluster] = interest
        return out
