"""Destinations for Istio: the hosts of VirtualDestinations, federated Services and ExternalServices, in each cluster
with Istio gateways.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.translate.emit.istio.destination import External, ExternalEndpoint, Labels, Port
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.objects import Emitted, cannot
from mgmt.translate.emit.istio.service_entry import emit_external, emit_virtual_host
from mgmt.translate.emit.istio.virtual_hosts import virtual_hosts
from mgmt.translate.engine import Context, Engine
from mgmt.translate.graph.destinations import DestinationGraph
from mgmt.translate.graph.istio_doors import FederatedName, IstioDoorGraph
from mgmt.translate.graph.istio_routes import IstioRouteGraph
from mgmt.translate.graph.ownership import OwnershipGraph
from mgmt.translate.graph.policies import PolicyGraph
from mgmt.translate.graph.world import FederatedKey, ViewGraph
from mgmt.translate.ir import Destination
from mgmt.translate.routing.destination_upstreams import Resolved
from mgmt.translate.routing.destination_views import (
    SERVICE,
    ExternalServiceView,
    VirtualDestinationView,
    select_port,
)
from mgmt.translate.routing.eastwest import Mode
from mgmt.translate.routing.external_services import ExternalBacking, ExternalEndpointView, select_endpoints
from mgmt.translate.routing.federation import at_home, federated_backing
from mgmt.translate.routing.virtual_destinations import Backing

At = tuple[str, ObjectKey]  # cluster, the user's object
Seats = dict[str, dict[str, str]]  # cluster -> namespace with gateways -> workspace


class IstioDestinationGraph:
    def __init__(
        self,
        engine: Engine,
        owners: OwnershipGraph,
        views: ViewGraph,
        policies: PolicyGraph,
        destinations: DestinationGraph,
        routes: IstioRouteGraph,
        doors: IstioDoorGraph,
    ) -> None:
        self._owners, self._views = owners, views
        self._policies, self._destinations, self._routes, self._doors = policies, destinations, routes, doors
        self.virtual = engine.step("istio hosts", destinations.backing, self._virtual)
        self.external = engine.step("istio external services", destinations.external, self._external)
        self.federated = engine.step("istio federated hosts", views.federated, self._federated)
        self.at_home = engine.step("istio federated hosts at home", views.federated_names, self._at_home)

    def _audience(self, context: Context, view: VirtualDestinationView | ExternalServiceView) -> Seats:
        """Where the object is available."""
        out: Seats = {}
        for key, workspace in context.all(self._doors.seats).items():
            if self._owners.available(context, view.key, dict(view.labels), workspace):
                out.setdefault(key.cluster, {})[key.namespace] = workspace
        return out

    # ---------------------------------------------------------------- VirtualDestinations

    def _virtual(self, context: Context, key: ObjectKey, backing: Backing) -> dict[At, Emitted]:
        view = context.get(self._views.virtual, key)
        if view is None or not self._doors.holds(context, view, view.hosts[0]):
            return {}
        found = self._published(context, view, backing, self._audience(context, view), [view])
        return {(cluster, key): emitted for cluster, emitted in found.items()}

    def _published(
        self,
        context: Context,
        view: VirtualDestinationView,
        backing: Backing,
        all_seats: Seats,
        members: Sequence[VirtualDestinationView],
    ) -> dict[str, Emitted]:
        """By cluster. `members` are those whose settings count: `view` itself, or all workspaces' views of a federated
        name in its own cluster.
        """
        workspaces = sorted({member.workspace for member in members})
        doors = {
            backer.key.cluster: {
                g.key.namespace for w in workspaces for g in self._doors.east_west(context, w, backer.key.cluster)
            }
            for backer in backing.services
            if context.get(self._doors.clusters, backer.key.cluster)
        }
        if not all_seats and not any(doors.values()):
            return {}  # at once: without Istio a change of endpoints costs nothing here
        found = self._resolved(context, view, members)
        mutual = all(self._doors.mode(context, member) is Mode.SNI_ROUTING for member in members)
        facts = self._destinations.facts(context)
        backers = {backer.key.cluster: backer for backer in backing.services}

        def labels_of(cluster: str) -> tuple[Mapping[str, str], ...]:
            known = facts(backers[cluster].key) if cluster in backers else None
            return known.labels if known else ()

        backing_here = {cluster: self._doors.local(context, backer) for cluster, backer in backers.items()}
        taken = {cluster for cluster in backers if not self._doors.leads_to(context, cluster, view)}
        closed = taken | {
            cluster
            for cluster, local in backing_here.items()
            if mutual and doors.get(cluster) and (local is None or local.unusable)
        }
        subsets = self._subsets(context, view, workspaces)
        out = {}
        for cluster in sorted({*all_seats, *(c for c, namespaces in doors.items() if namespaces)}):
            audience = set(all_seats.get(cluster, ()))
            local = backing_here.get(cluster)
            if cluster in backers:
                audience.add(backers[cluster].key.namespace)
                if cluster not in taken:
                    audience |= doors.get(cluster, set())
            hosts, problems = virtual_hosts(
                view, cluster, found, local, audience, subsets, labels_of, closed=closed, mutual=mutual
            )
            site = Site(cluster=cluster, namespace="", workspace=view.workspace)
            held = [host for host in hosts if all(self._doors.holds(context, m, host.host) for m in members)]
            parts = [emit_virtual_host(cluster, host, site) for host in held]
            said = [_host_taken(view, other) for other in sorted(taken)]
            out[cluster] = joined((Emitted(problems=(*said, *problems)), *parts))
        return out

    def _resolved(
        self, context: Context, view: VirtualDestinationView, members: Sequence[VirtualDestinationView]
    ) -> dict[int, Resolved]:
        """By port."""
        found: dict[int, Resolved] = {}
        for member in members:
            workspace = member.workspace if view.key.type == SERVICE else ""
            for mapping in member.spec.ports:
                wanted = Destination(object=view.key, host=view.hosts[0], port=mapping.number, workspace=workspace)
                if (resolved := self._destinations.resolve(context, wanted)) is not None:
                    found.setdefault(mapping.number, resolved)
        return found

    def _subsets(self, context: Context, view: VirtualDestinationView, workspaces: Iterable[str]) -> tuple[Labels, ...]:
        """Of all clusters: a gateway that passes on what others send has to know their subsets too."""
        whose = workspaces if view.key.type == SERVICE else [""]
        return tuple({s for w in whose for s in context.get(self._routes.subsets, ("", view.key, w)) or ()})

    # ---------------------------------------------------------------- federated Services

    def _federated(
        self, context: Context, key: FederatedKey, view: VirtualDestinationView
    ) -> dict[tuple[str, FederatedKey], Emitted]:
        """In the other clusters, where the workspace that federates the Service has gateways (destinations.md §6.3)."""
        service, workspace = key
        if not self._doors.holds(context, view, view.hosts[0]):
            return {}
        seats: Seats = {}
        for gateway, owner in context.all(self._doors.seats).items():
            if owner == workspace and gateway.cluster != service.cluster:
                seats.setdefault(gateway.cluster, {})[gateway.namespace] = owner
        if not seats:
            return {}
        found = self._published(context, view, federated_backing(view), seats, [view])
        return {(cluster, key): emitted for cluster, emitted in found.items() if cluster != service.cluster}

    def _at_home(
        self, context: Context, key: FederatedName, members: tuple[VirtualDestinationView, ...]
    ) -> dict[FederatedName, Emitted]:
        """In the Service's own cluster, once for all workspaces that federate it."""
        service, host = key
        owner = self._owners.owner(context, service)
        held = [member for member in members if self._doors.holds(context, member, host)]
        if not held or owner is None:
            return {}
        view, federating = at_home(held, owner), {member.workspace for member in held}
        seats = {
            namespace: workspace
            for namespace, workspace in self._audience(context, view).get(service.cluster, {}).items()
            if workspace in federating or workspace != owner
        }
        around = {service.cluster: seats} if seats else {}
        found = self._published(context, view, federated_backing(view), around, held)
        return {key: found[service.cluster]} if service.cluster in found else {}

    # ---------------------------------------------------------------- ExternalServices

    def _external(self, context: Context, key: ObjectKey, backing: ExternalBacking) -> dict[At, Emitted]:
        view = context.get(self._views.external, key)
        if view is None or not backing.ports or not self._doors.holds(context, view, view.host):
            return {}
        candidates = context.by(self._views.endpoints_by_workspace, view.workspace).values()
        endpoints = select_endpoints(view, [endpoint for endpoint, _ in candidates])
        ports = []
        for port in view.spec.ports:
            found = backing.port(port.number)
            ports.append(
                Port(
                    number=port.number,
                    protocol=port.protocol.upper(),
                    name=port.name or f"{port.protocol.lower()}-{port.number}",
                    settings=self._policies.settings(context, view.workspace, key, port.number),
                    tls=found.tls if found else None,
                )
            )
        external = External(
            parent=key,
            hosts=tuple(h for h in view.hosts if self._doors.holds(context, view, h)),
            addresses=tuple(sorted(view.spec.addresses)),
            ports=tuple(ports),
            targets=tuple((p.number, p.target_port.number) for p in view.spec.ports if p.target_port),
            endpoints=tuple(_endpoint(view, endpoint) for endpoint in endpoints),
            subject_alt_names=tuple(sorted(view.spec.subject_alt_names)),
        )
        out = {}
        for cluster, seats in self._audience(context, view).items():
            sites = [Site(cluster=cluster, namespace=n, workspace=w) for n, w in sorted(seats.items())]
            out[cluster, key] = joined(emit_external(site, external) for site in sites)
        return out


def _host_taken(view: VirtualDestinationView, cluster: str) -> Problem:
    message = (
        f"cluster {cluster} adds no endpoints for other clusters: its east-west gateway serves host {view.hosts[0]} "
        "for an older object; choose another host"
    )
    return cannot(view.key, "spec.hosts", message)


def joined(parts: Iterable[Emitted]) -> Emitted:
    found = tuple(parts)
    problems = tuple(dict.fromkeys(p for part in found for p in part.problems))
    return Emitted(tuple(obj for part in found for obj in part.objects), problems)


def _endpoint(view: ExternalServiceView, endpoint: ExternalEndpointView) -> ExternalEndpoint:
    spec = endpoint.spec
    names = {port.number: port.name or f"{port.protocol.lower()}-{port.number}" for port in view.spec.ports}
    ports = []
    for port in view.spec.ports:
        number = select_port(port.target_port, endpoint.named_ports) if port.target_port else port.number
        if port.target_port is None:
            number = next((p.number for p in endpoint.named_ports if p.number == port.number), None)
        if number is not None:
            ports.append((names[port.number], number))
    where = spec.locality
    locality = "/".join(part for part in (where.region, where.zone, where.sub_zone) if part) if where else ""
    return ExternalEndpoint(address=spec.address, ports=tuple(ports), labels=endpoint.labels, locality=locality)
