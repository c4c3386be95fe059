"""From resolved destinations to clusters and endpoints, and to what east-west gateways let in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fingerpost.api.common import ClientMode
from fingerpost.api.internal.service_facts import ServiceFactsSpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from fingerpost.relay.pieces import PieceList
from mgmt.translate.emit.envoy.cluster import encode_cluster
from mgmt.translate.emit.envoy.endpoints import encode_endpoints
from mgmt.translate.engine import Collection, Context, Engine, Present
from mgmt.translate.graph.gateways import GatewayGraph
from mgmt.translate.graph.inputs import SERVICE_FACTS, SETTINGS, Inputs
from mgmt.translate.graph.ownership import OwnershipGraph
from mgmt.translate.graph.policies import PolicyGraph
from mgmt.translate.graph.world import FederatedKey, ViewGraph
from mgmt.translate.ir import Destination, Value
from mgmt.translate.routing.destination_upstreams import (
    Resolved,
    Surroundings,
    exposures,
    service_upstream,
    virtual_upstream,
)
from mgmt.translate.routing.destination_views import SERVICE, ExternalServiceView, VirtualDestinationView
from mgmt.translate.routing.eastwest import (
    EastWestGateway,
    EastWestSelection,
    Exposure,
    Mode,
    client_mode,
    effective_selectors,
    hosts_held,
    select_east_west,
    without_taken,
)
from mgmt.translate.routing.external_services import ExternalBacking, external_upstream, resolve_external
from mgmt.translate.routing.federation import federated_backing
from mgmt.translate.routing.virtual_destinations import Backing, select_backing
from mgmt.translate.scopes import RouteClass, RouteContribution
from mgmt.translate.workspace.ownership import WorkspaceView

DEFAULT_TRUST_DOMAIN = "cluster.local"


class Built(Value, frozen=True):
    """What a gateway gets of one destination. `endpoints` is None where the cluster names its addresses itself."""

    cluster: PieceList
    endpoints: PieceList | None
    problems: tuple[Problem, ...]


class ExposedSet(Value, frozen=True):
    """A VirtualDestination at the east-west gateways of one cluster."""

    exposures: tuple[Exposure, ...]
    gateways: tuple[ObjectKey, ...]


class _AtGateway:
    """All exposures at one east-west gateway."""

    def __init__(self, group: ObjectKey) -> None:
        self._sets: dict[Any, ExposedSet] = {}

    def change(self, key: Any, old: ExposedSet | None, new: ExposedSet | None) -> None:
        if new is None:
            self._sets.pop(key, None)
        else:
            self._sets[key] = new

    def result(self) -> tuple[Exposure, ...] | None:
        if not self._sets:
            return None
        return tuple(e for _, found in sorted(self._sets.items()) for e in found.exposures)


class DestinationGraph:
    def __init__(
        self,
        engine: Engine,
        inputs: Inputs,
        owners: OwnershipGraph,
        gateways: GatewayGraph,
        views: ViewGraph,
        policies: PolicyGraph,
        contributions: Collection[tuple[RouteClass, ObjectKey], RouteContribution],
    ) -> None:
        self._owners = owners
        self._gateways = gateways
        self._views = views
        self._policies = policies
        self._facts = inputs[SERVICE_FACTS]
        self.backing = engine.step("backing services", views.virtual, self._back)
        self.external = engine.step("external backing", views.external, self._back_external)
        self.east_west = engine.step("east-west gateways", owners.workspaces, self._select_east_west)
        self.used = engine.fold("destinations used", (contributions,), lambda _, c: c.uses, Present)
        self._used_by_object = self.used.index(lambda d, _: (d.object,))
        self.exposed = engine.step("exposed", self.backing, self._expose)
        self.exposed_federated = engine.step("exposed federated", views.federated, self._expose_federated)
        exposed: Any = (self.exposed, self.exposed_federated)
        self.at_gateway = engine.fold("exposed at gateways", exposed, lambda _, e: e.gateways, _AtGateway)
        self._holders = engine.fold(
            "hosts at clusters", exposed, lambda _, e: {gateway.cluster for gateway in e.gateways}, _HostsOf
        )
        self._local = engine.step("local destinations", self.at_gateway, self._locals)
        sources: Any = (self.used, self._local)
        self.needed = engine.fold("destinations", sources, self._needed, Present)
        self.built = engine.step("clusters and endpoints", self.needed, self._build)
        self.built_by_object = self.built.index(lambda d, _: (d.object,))

    # ---------------------------------------------------------------- what stands behind a destination

    def _back(self, context: Context, key: ObjectKey, view: VirtualDestinationView) -> dict[ObjectKey, Backing]:
        services = self._views.available_services(context, view.workspace) if view.spec.services else []
        externals = self._views.available_external(context, view.workspace) if view.spec.external_services else []
        return {key: select_backing(view, services, externals, lambda k: self._owners.owner(context, k))}

    def _back_external(
        self, context: Context, key: ObjectKey, view: ExternalServiceView
    ) -> dict[ObjectKey, ExternalBacking]:
        endpoints = context.by(self._views.endpoints_by_workspace, view.workspace)
        return {key: resolve_external(view, [endpoint for endpoint, _ in endpoints.values()])}

    def _select_east_west(self, context: Context, name: str, workspace: WorkspaceView) -> dict[str, EastWestSelection]:
        everywhere = self._owners.global_settings(context)
        spec = self._owners.spec(context, name)
        selectors, all_gateways = effective_selectors(everywhere.options if everywhere else None, spec.options)
        candidates = []
        for gateway in context.all(self._gateways.gateways).values():
            service = gateway.key._replace(type=SERVICE)
            labels = gateway.spec.service_labels
            if all_gateways or self._owners.available(context, service, labels, name):
                candidates.append(gateway)
        effective = context.get(self._owners.settings, name)
        about = effective.chosen if effective and effective.chosen else workspace.key._replace(type=SETTINGS)

        def taken(key: ObjectKey) -> frozenset[int]:
            planned = context.get(self._gateways.envoy.plans, key)
            return frozenset(port.port for port in planned.plan.ports) if planned else frozenset()

        return {name: without_taken(select_east_west(about, selectors, candidates), about, taken)}

    def _east_west_of(self, context: Context, workspace: str) -> Callable[[str], tuple[EastWestGateway, ...]]:
        selection = context.get(self.east_west, workspace)
        found = selection.gateways if selection else ()
        return lambda cluster: tuple(g for g in found if g.key.cluster == cluster)

    def mode(self, context: Context, view: VirtualDestinationView) -> Mode:
        return self.mode_of(context, view.workspace, view.spec.client_mode)

    def mode_of(self, context: Context, workspace: str, own: ClientMode | None = None) -> Mode:
        """`own` is what a destination says for itself."""
        everywhere = self._owners.global_settings(context)
        spec = self._owners.spec(context, workspace)
        return client_mode(own, everywhere.options if everywhere else None, spec.options)

    def facts(self, context: Context) -> Callable[[ObjectKey], ServiceFactsSpec | None]:
        def read(key: ObjectKey) -> ServiceFactsSpec | None:
            decoded = context.get(self._facts, key._replace(type=SERVICE_FACTS))
            return decoded.obj.spec if decoded and decoded.obj is not None else None

        return read

    def _domain(self, context: Context, cluster: str) -> str:
        view = self._owners.cluster(context, cluster)
        return view.domain if view else "cluster.local"

    # ---------------------------------------------------------------- east-west

    def _expose(self, context: Context, key: ObjectKey, backing: Backing) -> dict[tuple[ObjectKey, str], ExposedSet]:
        view = context.get(self._views.virtual, key)
        if view is None or not backing.services:
            return {}
        out = {}
        for cluster in sorted({b.key.cluster for b in backing.services}):
            found = self._exposed_at(context, view, backing, cluster, "")
            if found is not None:
                out[key, cluster] = found
        return out

    def _expose_federated(
        self, context: Context, key: FederatedKey, view: VirtualDestinationView
    ) -> dict[FederatedKey, ExposedSet]:
        claims = context.get(self._views.hosts, view.workspace)
        if claims and claims.holders.get(view.hosts[0], view.key) != view.key:
            return {}
        found = self._exposed_at(context, view, federated_backing(view), key[0].cluster, view.workspace)
        return {key: found} if found else {}

    def _exposed_at(
        self, context: Context, view: VirtualDestinationView, backing: Backing, cluster: str, workspace: str
    ) -> ExposedSet | None:
        """`workspace` as in the destinations that name it."""
        used = context.by(self._used_by_object, view.key)
        subsets = sorted({d.subset for d in used if d.workspace == workspace})
        gateways = self._east_west_of(context, view.workspace)(cluster)
        chosen = tuple(g.key for g in gateways if g.termination and g.termination.target)
        domain, mode = self._domain(context, cluster), self.mode(context, view)
        found = exposures(view, backing, cluster, domain, mode, self.facts(context), subsets)
        return ExposedSet(exposures=found, gateways=chosen) if found and chosen else None

    def _locals(
        self, context: Context, gateway: ObjectKey, found: tuple[Exposure, ...]
    ) -> dict[tuple[str, ObjectKey, Destination], bool]:
        return {("local", gateway, exposure.local): True for exposure in found}

    def _needed(self, key: Destination | tuple[str, ObjectKey, Destination], _: bool) -> Iterable[Destination]:
        return (key,) if isinstance(key, Destination) else (key[2],)

    # ---------------------------------------------------------------- bytes

    def resolve(self, context: Context, destination: Destination) -> Resolved | None:
        """None when the object is gone in the same wave in which its last user goes."""
        key = destination.object
        if destination.workspace:
            federated = context.get(self._views.federated, (key, destination.workspace))
            if federated is None or federated.hosts[0] != destination.host:
                return None
            return self._beyond(context, federated, federated_backing(federated), destination)
        found = context.get(self._views.services, key)
        if found is not None:
            settings = self._policies.settings(context, found[1] or "", key, destination.port)
            return service_upstream(found[0], destination, settings)
        external = context.get(self.external, key)
        if external is not None:
            view = context.get(self._views.external, key)
            workspace = view.workspace if view else ""
            settings = self._policies.settings(context, workspace, key, destination.port)
            upstream = external_upstream(destination, external, settings)
            return Resolved(upstream, None) if upstream else None
        virtual = context.get(self._views.virtual, key)
        backing = context.get(self.backing, key)
        if virtual is None or backing is None:
            return None
        return self._beyond(context, virtual, backing, destination)

    def _beyond(
        self, context: Context, virtual: VirtualDestinationView, backing: Backing, destination: Destination
    ) -> Resolved:
        """What may have endpoints in several clusters."""
        around = Surroundings(
            facts=self.facts(context),
            gateways=self._east_west_of(context, virtual.workspace),
            external=lambda k: context.get(self.external, k),
            trust_domain=lambda _: DEFAULT_TRUST_DOMAIN,
            holds_host=lambda cluster: self._holds(context, cluster, virtual),
        )
        owner = self._owners.owner(context, virtual.key) or ""  # of a federated Service not the one that federates it
        settings = self._policies.settings(context, owner, virtual.key, destination.port)
        return virtual_upstream(virtual, destination, backing, self.mode(context, virtual), around, settings)

    def _holds(self, context: Context, cluster: str, view: VirtualDestinationView) -> bool:
        holders: dict[str, ObjectKey] = dict(context.get(self._holders, cluster) or ())
        return holders.get(view.hosts[0], view.key) == view.key

    def _build(self, context: Context, destination: Destination, _: bool) -> dict[Destination, Built]:
        resolved = self.resolve(context, destination)
        if resolved is None:
            return {}
        endpoints = None
        if resolved.endpoints is not None:
            prefer = resolved.upstream.settings.prefer_locality
            endpoints = PieceList(encode_endpoints(destination, resolved.endpoints, prefer_locality=prefer))
        return {
            destination: Built(
                cluster=PieceList(encode_cluster(resolved.upstream)), endpoints=endpoints, problems=resolved.problems
            )
        }


class _HostsOf(_AtGateway):
    """Who holds which host at the east-west gateways of one cluster."""

    def result(self) -> Any:
        found = super().result()
        return None if found is None else tuple(sorted(hosts_held(found).items()))
