"""Destinations for Istio: the hosts of VirtualDestinations and ExternalServices in each cluster with Istio gateways,
and the doors of its east-west gateways.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fingerpost.api.internal.discovered_gateway import GatewayKind
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.translate.emit.istio.destination import External, ExternalEndpoint, Local, Port
from mgmt.translate.emit.istio.gateway import emit_passthrough, emit_termination, termination_name
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.objects import Emitted, cannot
from mgmt.translate.emit.istio.service_entry import emit_external, emit_virtual_host
from mgmt.translate.emit.istio.virtual_hosts import virtual_hosts
from mgmt.translate.emit.istio.virtual_service import emit_terminated
from mgmt.translate.engine import Context, Engine
from mgmt.translate.graph.destinations import DestinationGraph
from mgmt.translate.graph.gateways import GatewayGraph
from mgmt.translate.graph.inputs import SERVICE, Inputs
from mgmt.translate.graph.istio_routes import IstioRouteGraph
from mgmt.translate.graph.ownership import OwnershipGraph
from mgmt.translate.graph.policies import PolicyGraph
from mgmt.translate.graph.world import ViewGraph
from mgmt.translate.ir import Destination, Value
from mgmt.translate.routing.destination_upstreams import has_ready
from mgmt.translate.routing.destination_views import ExternalServiceView, VirtualDestinationView, select_port
from mgmt.translate.routing.eastwest import EastWestGateway, Mode, mode_towards
from mgmt.translate.routing.external_services import ExternalBacking, ExternalEndpointView, select_endpoints
from mgmt.translate.routing.gateways import GatewayView
from mgmt.translate.routing.virtual_destinations import Backer, Backing
from mgmt.translate.workspace.seniority import seniority

At = tuple[str, ObjectKey]  # cluster, the user's object
Door = tuple[ObjectKey, ObjectKey]  # VirtualDestination, east-west gateway


class Exposed(Value, frozen=True):
    """A VirtualDestination at one east-west gateway of a cluster that has ready pods of it."""

    owner: ObjectKey
    created: str
    mode: Mode
    port: int  # where the gateway listens
    hosts: tuple[str, ...]
    local: tuple[tuple[int, Destination], ...]  # by port of the VirtualDestination


class _Exposures:
    def __init__(self, group: object) -> None:
        self._found: dict[Door, Exposed] = {}

    def change(self, key: Door, old: Exposed | None, new: Exposed | None) -> None:
        self._found.pop(key, None)
        if new is not None:
            self._found[key] = new

    def result(self) -> tuple[Exposed, ...] | None:
        return tuple(found for _, found in sorted(self._found.items())) or None


class _Holders(_Exposures):
    """A gateway tells destinations apart by host alone: the oldest owner has the host in a cluster (§5.3, D-91)."""

    def result(self) -> Any:
        found = super().result()
        if found is None:
            return None
        holders: dict[str, ObjectKey] = {}
        for exposed in sorted(found, key=lambda e: seniority(e.created, e.owner)):
            for host in exposed.hosts:
                holders.setdefault(host, exposed.owner)
        return tuple(sorted(holders.items()))


class IstioDestinationGraph:
    def __init__(
        self,
        engine: Engine,
        inputs: Inputs,
        owners: OwnershipGraph,
        gateways: GatewayGraph,
        views: ViewGraph,
        policies: PolicyGraph,
        destinations: DestinationGraph,
        routes: IstioRouteGraph,
    ) -> None:
        self._services = inputs[SERVICE]
        self._owners, self._gateways, self._views = owners, gateways, views
        self._policies, self._destinations, self._routes = policies, destinations, routes
        self.seats = engine.step("istio gateways", gateways.gateways, self._seat)
        self.exposed = engine.step("istio exposed", destinations.backing, self._expose)
        self._by_namespace = self.exposed.index(lambda key, _: ((key[0], key[1].cluster, key[1].namespace),))
        self._holders = engine.fold("istio hosts held", (self.exposed,), lambda key, _: (key[1].cluster,), _Holders)
        self.virtual = engine.step("istio hosts", destinations.backing, self._virtual)
        self.external = engine.step("istio external services", destinations.external, self._external)
        self._passing = engine.fold(
            "istio passthrough",
            (self.exposed,),
            lambda key, e: (key[1],) if e.mode is Mode.SNI_ROUTING else (),
            _Exposures,
        )
        self.passthrough = engine.step("istio passthrough Gateways", self._passing, self._pass)
        self.terminated = engine.step("istio terminating Gateways", self.exposed, self._terminate)

    def _seat(self, context: Context, key: ObjectKey, gateway: GatewayView) -> dict[ObjectKey, str]:
        """The Istio gateways that a workspace owns; others have no configuration."""
        istio = gateway.spec.gateway_kind is GatewayKind.ISTIO
        return {key: gateway.workspace} if istio and gateway.workspace else {}

    def _audience(
        self, context: Context, view: VirtualDestinationView | ExternalServiceView
    ) -> dict[str, dict[str, str]]:
        """Cluster -> namespace with gateways -> workspace, where the object is available."""
        out: dict[str, dict[str, str]] = {}
        for key, workspace in context.all(self.seats).items():
            if self._owners.available(context, view.key, dict(view.labels), workspace):
                out.setdefault(key.cluster, {})[key.namespace] = workspace
        return out

    def _holds(self, context: Context, view: VirtualDestinationView | ExternalServiceView, host: str) -> bool:
        claims = context.get(self._views.hosts, view.workspace)
        return claims is None or claims.holders.get(host, view.key) == view.key

    # ---------------------------------------------------------------- VirtualDestinations

    def _virtual(self, context: Context, key: ObjectKey, backing: Backing) -> dict[At, Emitted]:
        view = context.get(self._views.virtual, key)
        if view is None or not self._holds(context, view, view.hosts[0]):
            return {}
        if not (all_seats := self._audience(context, view)):
            return {}  # at once: without Istio a change of endpoints costs nothing here
        found = {}
        for mapping in view.spec.ports:
            wanted = Destination(object=key, host=view.hosts[0], port=mapping.number)
            if (resolved := self._destinations.resolve(context, wanted)) is not None:
                found[mapping.number] = resolved
        mutual = mode_towards(self._destinations.mode(context, view), GatewayKind.ISTIO) is Mode.SNI_ROUTING
        facts = self._destinations.facts(context)
        backers = {backer.key.cluster: backer for backer in backing.services}

        def labels_of(cluster: str) -> tuple[Mapping[str, str], ...]:
            known = facts(backers[cluster].key) if cluster in backers else None
            return known.labels if known else ()

        backing_here = {cluster: self._local(context, backer) for cluster, backer in backers.items()}
        taken = {cluster for cluster in backers if not self._has_door(context, cluster, view)}
        closed = taken | {
            c for c, local in backing_here.items() if mutual and not self._enters(context, view, c, local)
        }
        out = {}
        for cluster, seats in all_seats.items():
            audience = set(seats)
            local = backing_here.get(cluster)
            if cluster in backers:
                audience.add(backers[cluster].key.namespace)
                if cluster not in taken:
                    audience |= {g.key.namespace for g in self._east_west(context, view.workspace, cluster)}
            # A gateway that passes on what others send has to know their subsets too.
            subsets = context.get(self._routes.subsets, ("", key)) or ()
            hosts, problems = virtual_hosts(
                view, cluster, found, local, audience, subsets, labels_of, closed=closed, mutual=mutual
            )
            site = Site(cluster=cluster, namespace="", workspace=view.workspace)
            parts = [emit_virtual_host(cluster, host, site) for host in hosts if self._holds(context, view, host.host)]
            said = [_host_taken(view, other) for other in sorted(taken)]
            out[cluster, key] = joined((Emitted(problems=(*said, *problems)), *parts))
        return out

    def _has_door(self, context: Context, cluster: str, view: VirtualDestinationView) -> bool:
        holders: dict[str, ObjectKey] = dict(context.get(self._holders, cluster) or ())
        return holders.get(view.hosts[0], view.key) == view.key

    def _enters(self, context: Context, view: VirtualDestinationView, cluster: str, local: Local | None) -> bool:
        """Whether connections that an Istio gateway of the cluster passes on find the pods there."""
        istio = self._east_west(context, view.workspace, cluster)
        return not istio or (local is not None and not local.unusable)

    def _local(self, context: Context, backer: Backer) -> Local | None:
        decoded = context.get(self._services, backer.key)
        if decoded is None or decoded.obj is None:
            return None
        spec = decoded.obj.spec
        targets = {port.port: port.listening_port for port in spec.ports}
        facts = self._destinations.facts(context)(backer.key)
        return Local(
            namespace=backer.key.namespace,
            selector=tuple(sorted(spec.selector.items())),
            targets=tuple((number, targets.get(own, 0)) for number, own in backer.ports),
            all_sidecars=facts is not None and facts.all_sidecars,
        )

    def _east_west(self, context: Context, workspace: str, cluster: str) -> list[EastWestGateway]:
        selection = context.get(self._destinations.east_west, workspace)
        found = selection.gateways if selection else ()
        return [g for g in found if g.key.cluster == cluster and g.kind is GatewayKind.ISTIO]

    # ---------------------------------------------------------------- ExternalServices

    def _external(self, context: Context, key: ObjectKey, backing: ExternalBacking) -> dict[At, Emitted]:
        view = context.get(self._views.external, key)
        if view is None or not backing.ports or not self._holds(context, view, view.host):
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
            hosts=tuple(h for h in view.hosts if self._holds(context, view, h)),
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

    # ---------------------------------------------------------------- east-west gateways

    def _expose(self, context: Context, key: ObjectKey, backing: Backing) -> dict[Door, Exposed]:
        view = context.get(self._views.virtual, key)
        if view is None or not self._holds(context, view, view.hosts[0]):
            return {}
        mode = mode_towards(self._destinations.mode(context, view), GatewayKind.ISTIO)
        facts = self._destinations.facts(context)
        out = {}
        for backer in backing.services:
            domain = self._domain(context, backer.key.cluster)
            host = f"{backer.key.name}.{backer.key.namespace}.svc.{domain}"
            ready = tuple(
                (number, Destination(object=backer.key, host=host, port=own))
                for number, own in backer.ports
                if has_ready(facts(backer.key), own)
            )
            for gateway in self._east_west(context, view.workspace, backer.key.cluster) if ready else ():
                dial = gateway.dial(mode) if mode else None
                local = self._local(context, backer)
                blind = mode is Mode.SNI_ROUTING and (local is None or bool(local.unusable))
                if mode and dial and dial.target and not blind:
                    out[key, gateway.key] = Exposed(
                        owner=key,
                        created=view.created,
                        mode=mode,
                        port=dial.target,
                        hosts=view.hosts,
                        local=ready,
                    )
        return out

    def _domain(self, context: Context, cluster: str) -> str:
        view = self._owners.cluster(context, cluster)
        return view.domain if view else "cluster.local"

    def _site(self, context: Context, key: ObjectKey) -> tuple[Site, tuple[tuple[str, str], ...]] | None:
        gateway = context.get(self._gateways.gateways, key)
        if gateway is None:
            return None
        site = Site(cluster=key.cluster, namespace=key.namespace, workspace=gateway.workspace or "")
        return site, tuple(sorted(gateway.spec.workload_labels.items()))

    def _pass(self, context: Context, key: ObjectKey, found: tuple[Exposed, ...]) -> dict[ObjectKey, Emitted]:
        at = self._site(context, key)
        if at is None:
            return {}
        hosts: dict[int, set[str]] = {}
        for exposed in found:
            hosts.setdefault(exposed.port, set()).update(exposed.hosts)
        return {key: Emitted((emit_passthrough(at[0], key, at[1], hosts, [e.owner for e in found]),))}

    def _terminate(self, context: Context, key: Door, exposed: Exposed) -> dict[Door, Emitted]:
        virtual, gateway = key
        at = self._site(context, gateway)
        if at is None or exposed.mode is not Mode.TLS_TERMINATION:
            return {}
        holders: dict[str, ObjectKey] = dict(context.get(self._holders, gateway.cluster) or ())
        if len(exposed.local) > 1:
            message = (
                f"it has several ports, which the east-west gateway {gateway.namespace}/{gateway.name} in cluster "
                f"{gateway.cluster} cannot tell apart after it has ended TLS, so it lets none in; use sniRouting"
            )
            return {key: Emitted(problems=(cannot(virtual, "spec.ports", message),))}
        (_, local), objects = exposed.local[0], []
        beside = context.by(self._by_namespace, (virtual, gateway.cluster, gateway.namespace))
        another = "" if gateway == min(door for _, door in beside) else gateway.name
        for host in (h for h in exposed.hosts if holders.get(h, virtual) == virtual):
            objects.append(emit_termination(at[0], gateway, at[1], exposed.port, host, virtual))
            name = termination_name(gateway, host)
            objects.append(emit_terminated(at[0], name, host, exposed.port, local, virtual, another))
        return {key: Emitted(tuple(objects), self._subset_lost(context, virtual, gateway.cluster))}

    def _subset_lost(self, context: Context, virtual: ObjectKey, own: str) -> tuple[Problem, ...]:
        for cluster in sorted({key.cluster for key in context.all(self.seats)} - {own}):
            if context.get(self._routes.subsets, (cluster, virtual)):
                message = f"routes of cluster {cluster} name subsets, which are lost where an Istio gateway of cluster "
                return (cannot(virtual, "spec.clientMode", f"{message}{own} ends TLS; use sniRouting"),)
        return ()


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
