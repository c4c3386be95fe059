"""The doors of Istio's east-west gateways: which destinations of their cluster they let callers of others in to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from msgspec.structs import replace

from fingerpost.api.internal.discovered_gateway import GatewayKind
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.translate.emit.istio.destination import Labels, Local
from mgmt.translate.emit.istio.envoy_filter import emit_ports
from mgmt.translate.emit.istio.gateway import emit_passthrough, emit_termination, termination_name
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.objects import Emitted, cannot
from mgmt.translate.emit.istio.virtual_service import emit_terminated
from mgmt.translate.engine import Collection, Context, Engine, Present
from mgmt.translate.graph.destinations import DestinationGraph
from mgmt.translate.graph.gateways import GatewayGraph
from mgmt.translate.graph.inputs import Inputs
from mgmt.translate.graph.istio_routes import IstioRouteGraph
from mgmt.translate.graph.ownership import OwnershipGraph
from mgmt.translate.graph.world import ViewGraph
from mgmt.translate.ir import Destination, Value
from mgmt.translate.routing.destination_upstreams import has_ready
from mgmt.translate.routing.destination_views import SERVICE, ExternalServiceView, VirtualDestinationView
from mgmt.translate.routing.eastwest import EastWestGateway, Mode, mode_towards
from mgmt.translate.routing.federation import federated_backing
from mgmt.translate.routing.gateways import GatewayView
from mgmt.translate.routing.virtual_destinations import Backer, Backing
from mgmt.translate.workspace.seniority import seniority

FederatedName = tuple[ObjectKey, str]  # Service, host


class Door(NamedTuple):
    """A destination at an east-west gateway. Federated names of one Service, and modes that workspaces have chosen for
    them, are doors of their own.
    """

    owner: ObjectKey  # VirtualDestination, or federated Service
    gateway: ObjectKey
    host: str = ""
    mode: str = ""


class Exposed(Value, frozen=True):
    """A destination at one east-west gateway of a cluster that has ready pods of it."""

    owner: ObjectKey
    created: str
    mode: Mode
    port: int  # where the gateway listens
    hosts: tuple[str, ...]
    local: tuple[tuple[int, Destination], ...]  # by port of the destination


class _Only:
    """Joins collections that have no key in common."""

    def __init__(self, key: Door) -> None:
        self._found: Exposed | None = None

    def change(self, key: Door, old: Exposed | None, new: Exposed | None) -> None:
        self._found = new

    def result(self) -> Exposed | None:
        return self._found


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


class IstioDoorGraph:
    def __init__(
        self,
        engine: Engine,
        inputs: Inputs,
        owners: OwnershipGraph,
        gateways: GatewayGraph,
        views: ViewGraph,
        destinations: DestinationGraph,
        routes: IstioRouteGraph,
    ) -> None:
        self._services = inputs[SERVICE]
        self._owners, self._gateways, self._views = owners, gateways, views
        self._destinations, self._routes = destinations, routes
        self.seats = engine.step("istio gateways", gateways.gateways, self._seat)
        virtual = engine.step("istio exposed", destinations.backing, self._expose)
        federated = engine.step("istio exposed federated", views.federated_names, self._expose_federated)
        self.exposed: Collection[Door, Exposed] = engine.fold(
            "istio doors", (virtual, federated), lambda door, _: (door,), _Only
        )
        # The clusters whose Istio this system writes to: those with a gateway that a workspace owns, or one that lets
        # callers of other clusters in, whosesoever it is.
        written: Any = (self.seats, self.exposed)
        self.clusters: Collection[str, bool] = engine.fold("istio clusters", written, _cluster_of, Present)
        self._by_namespace = self.exposed.index(lambda door, _: (_beside(door),))
        self._holders = engine.fold("istio hosts held", (self.exposed,), lambda d, _: (d.gateway.cluster,), _Holders)
        self._passing = engine.fold(
            "istio passthrough",
            (self.exposed,),
            lambda door, e: (door.gateway,) if e.mode is Mode.SNI_ROUTING else (),
            _Exposures,
        )
        self.passthrough = engine.step("istio passthrough Gateways", self._passing, self._pass)
        self.terminated = engine.step("istio terminating Gateways", self.exposed, self._terminate)

    def _seat(self, context: Context, key: ObjectKey, gateway: GatewayView) -> dict[ObjectKey, str]:
        """The Istio gateways that a workspace owns; others have no configuration."""
        istio = gateway.spec.gateway_kind is GatewayKind.ISTIO
        return {key: gateway.workspace} if istio and gateway.workspace else {}

    # ---------------------------------------------------------------- what others ask

    def holds(self, context: Context, view: VirtualDestinationView | ExternalServiceView, host: str) -> bool:
        """Whether the object has the host in its workspace."""
        claims = context.get(self._views.hosts, view.workspace)
        return claims is None or claims.holders.get(host, view.key) == view.key

    def leads_to(self, context: Context, cluster: str, view: VirtualDestinationView) -> bool:
        """Whether the east-west gateways of the cluster have the host for this object."""
        holders: dict[str, ObjectKey] = dict(context.get(self._holders, cluster) or ())
        return holders.get(view.hosts[0], view.key) == view.key

    def local(self, context: Context, backer: Backer) -> Local | None:
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

    def east_west(self, context: Context, workspace: str, cluster: str) -> list[EastWestGateway]:
        selection = context.get(self._destinations.east_west, workspace)
        found = selection.gateways if selection else ()
        return [g for g in found if g.key.cluster == cluster and g.kind is GatewayKind.ISTIO]

    def mode(self, context: Context, view: VirtualDestinationView) -> Mode | None:
        return mode_towards(self._destinations.mode(context, view), GatewayKind.ISTIO)

    # ---------------------------------------------------------------- what is exposed

    def _expose(self, context: Context, key: ObjectKey, backing: Backing) -> dict[Door, Exposed]:
        view = context.get(self._views.virtual, key)
        if view is None or not self.holds(context, view, view.hosts[0]):
            return {}
        return dict(self._doors(context, view, backing, lambda gateway, _: Door(key, gateway)))

    def _expose_federated(
        self, context: Context, key: FederatedName, members: tuple[VirtualDestinationView, ...]
    ) -> dict[Door, Exposed]:
        """Two workspaces may expose different ports of a Service under one name."""
        service, host = key
        out: dict[Door, Exposed] = {}
        for view in members:
            if not self.holds(context, view, host):
                continue
            backing = federated_backing(view)
            for door, exposed in self._doors(
                context, view, backing, lambda gateway, mode: Door(service, gateway, host, mode.value)
            ):
                before = out.get(door)
                both = {**dict(before.local), **dict(exposed.local)} if before else dict(exposed.local)
                out[door] = replace(exposed, local=tuple(sorted(both.items())))
        return out

    def _doors(
        self,
        context: Context,
        view: VirtualDestinationView,
        backing: Backing,
        door: Callable[[ObjectKey, Mode], Door],
    ) -> Iterable[tuple[Door, Exposed]]:
        mode = self.mode(context, view)
        facts = self._destinations.facts(context)
        for backer in backing.services if mode else ():
            domain = self._domain(context, backer.key.cluster)
            host = f"{backer.key.name}.{backer.key.namespace}.svc.{domain}"
            ready = tuple(
                (number, Destination(object=backer.key, host=host, port=own))
                for number, own in backer.ports
                if has_ready(facts(backer.key), own)
            )
            for gateway in self.east_west(context, view.workspace, backer.key.cluster) if ready else ():
                dial = gateway.dial(mode) if mode else None
                local = self.local(context, backer)
                blind = mode is Mode.SNI_ROUTING and (local is None or bool(local.unusable))
                if mode and dial and dial.target and not blind:
                    exposed = Exposed(
                        owner=view.key,
                        created=view.created,
                        mode=mode,
                        port=dial.target,
                        hosts=view.hosts,
                        local=ready,
                    )
                    yield door(gateway.key, mode), exposed

    def _domain(self, context: Context, cluster: str) -> str:
        view = self._owners.cluster(context, cluster)
        return view.domain if view else "cluster.local"

    # ---------------------------------------------------------------- objects

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
        owner, gateway = key.owner, key.gateway
        at = self._site(context, gateway)
        if at is None or exposed.mode is not Mode.TLS_TERMINATION:
            return {}
        holders: dict[str, ObjectKey] = dict(context.get(self._holders, gateway.cluster) or ())
        (_, local), objects = exposed.local[0], []
        beside = context.by(self._by_namespace, _beside(key))
        another = "" if gateway == min(door.gateway for door in beside) else gateway.name
        for host in (h for h in exposed.hosts if holders.get(h, owner) == owner):
            objects.append(emit_termination(at[0], gateway, at[1], exposed.port, host, owner))
            name = termination_name(gateway, host)
            objects.append(emit_terminated(at[0], name, host, exposed.port, local, owner, another))
            if len(exposed.local) > 1:
                objects.append(emit_ports(at[0], gateway, at[1], exposed.port, host, exposed.local, owner))
        return {key: Emitted(tuple(objects), self._subset_lost(context, key))}

    def _subset_lost(self, context: Context, door: Door) -> tuple[Problem, ...]:
        own = door.gateway.cluster
        views = context.get(self._views.federated_names, (door.owner, door.host)) or ()
        whose = [view.workspace for view in views] if door.host else [""]
        for cluster in sorted({key.cluster for key in context.all(self.seats)} - {own}):
            for workspace in whose:
                used: tuple[Labels, ...] | None = context.get(self._routes.subsets, (cluster, door.owner, workspace))
                if used:
                    message = (
                        f"routes of cluster {cluster} name subsets, which are lost where an Istio gateway of cluster "
                        f"{own} ends TLS; use sniRouting"
                    )
                    return (cannot(door.owner, "spec.clientMode", message),)
        return ()


def _cluster_of(key: ObjectKey | Door, _: object) -> tuple[str]:
    return (key.gateway.cluster if isinstance(key, Door) else key.cluster,)


def _beside(door: Door) -> tuple[ObjectKey, str, str, str, str]:
    """Doors whose objects lie in one namespace."""
    return door.owner, door.host, door.mode, door.gateway.cluster, door.gateway.namespace
