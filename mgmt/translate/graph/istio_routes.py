"""Gateways and routes for Istio: which objects each VirtualGateway and each table has at the Istio gateways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fingerpost.api.internal.discovered_gateway import GatewayKind
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.translate.emit.istio.destination import Labels
from mgmt.translate.emit.istio.destination_rule import emit_service_rule
from mgmt.translate.emit.istio.gateway import admitted, emit_gateway, gateway_name
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.objects import Emitted, cannot
from mgmt.translate.emit.istio.virtual_service import Door, Served, emit_virtual_services
from mgmt.translate.engine import Context, Engine
from mgmt.translate.graph.gateways import GatewayGraph, Placed, Placement, PlannedGateway
from mgmt.translate.graph.inputs import ROUTE_TABLE, Inputs
from mgmt.translate.graph.tables import TableGraph, TableInfo
from mgmt.translate.ir import Destination, Value
from mgmt.translate.routing.binding import intersect
from mgmt.translate.routing.gateway_plan import GatewayListeners, merge_gateway
from mgmt.translate.routing.gateways import GatewayView, Selection
from mgmt.translate.routing.listeners import ResolvedListener, resolve_listeners
from mgmt.translate.workspace.seniority import seniority

Where = tuple[str, str]  # cluster, namespace
RuleGroup = tuple[str, str, str, ObjectKey]  # cluster, namespace, workspace, Service


class TableSite(Value, frozen=True):
    """A table at the Istio gateways of one namespace."""

    workspace: str
    served: tuple[Served, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def ports(self) -> frozenset[int]:
        """Of the gateways' Services."""
        return frozenset(port for served in self.served for door in served.doors for port, _ in door.feeds)


class TableObjects(Value, frozen=True):
    """`uses` are the destinations of the routes."""

    workspace: str
    emitted: Emitted
    uses: frozenset[Destination]


class _Used:
    """The destinations of one object in the routes of a group of tables, counted."""

    def __init__(self, wanted: ObjectKey) -> None:
        self._object = wanted
        self.counts: Counter[Destination] = Counter()

    def change(self, key: object, old: TableObjects | None, new: TableObjects | None) -> None:
        for found, step in ((new, 1), (old, -1)):
            for destination in found.uses if found else ():
                if destination.object == self._object and destination.subset:
                    self.counts[destination] += step
                    if not self.counts[destination]:
                        del self.counts[destination]


class _ServiceRule(_Used):
    """All subsets of a Service in the routes at one namespace's gateways."""

    def __init__(self, group: RuleGroup) -> None:
        cluster, namespace, workspace, service = group
        super().__init__(service)
        self._site = Site(cluster=cluster, namespace=namespace, workspace=workspace)

    def result(self) -> Emitted | None:
        used = sorted(self.counts, key=lambda d: (d.host, d.subset))
        return emit_service_rule(self._site, self._object, used) if used else None


class _Subsets(_Used):
    """The subsets of a destination that routes of one cluster use, or ("") those of any."""

    def __init__(self, group: tuple[str, ObjectKey]) -> None:
        super().__init__(group[1])

    def result(self) -> tuple[Labels, ...] | None:
        return tuple(sorted({d.subset for d in self.counts})) or None


class IstioRouteGraph:
    def __init__(self, engine: Engine, inputs: Inputs, gateways: GatewayGraph, tables: TableGraph) -> None:
        self._inputs = inputs
        self._gateways = gateways
        self._tables = tables
        self.placements = engine.step("istio listeners", gateways.selections, self._place)
        self._by_gateway = self.placements.index(lambda key, _: (key[1],))
        self.by_virtual = self.placements.index(lambda key, _: (key[0],))
        self.plans = engine.step("istio gateway plans", gateways.gateways, self._plan)
        self.gateway_objects = engine.step("istio Gateways", self.placements, self._gateway)
        self.sites = engine.step("istio tables", tables.tables, self._sites)
        self._by_host = self.sites.index(
            lambda key, site: {(key[0], host) for served in site.served for host in served.hosts}
        )
        self.sites_by_table = self.sites.index(lambda key, _: (key[1],))
        self.tables = engine.step("istio VirtualServices", self.sites, self._virtual_services)
        self.service_rules = engine.fold(
            "istio DestinationRules of Services", (self.tables,), self._rule_groups, _ServiceRule
        )
        self.subsets = engine.fold("istio subsets", (self.tables,), self._subset_groups, _Subsets)

    def _place(self, context: Context, key: ObjectKey, selection: Selection) -> dict[Placed, Placement]:
        view = context.get(self._gateways.virtual, key)
        if view is None:
            return {}
        placed = {}
        for gateway in selection.of(GatewayKind.ISTIO):
            listeners, misses = resolve_listeners(view.plans, gateway.key, gateway.spec)
            placed[key, gateway.key] = Placement(listeners=listeners, misses=misses)
        return placed

    def _plan(self, context: Context, key: ObjectKey, gateway: GatewayView) -> dict[ObjectKey, PlannedGateway]:
        if gateway.spec.gateway_kind is not GatewayKind.ISTIO:
            return {}
        mine = []
        for (virtual, _), placement in context.by(self._by_gateway, key).items():
            view = context.get(self._gateways.virtual, virtual)
            if view is not None:
                mine.append((seniority(view.created or None, virtual), GatewayListeners(virtual, placement.listeners)))
        mine.sort(key=lambda m: m[0])
        plan, problems = merge_gateway([listeners for _, listeners in mine])
        return {key: PlannedGateway(workspace=gateway.workspace or "", plan=plan, problems=problems)}

    def _gateway(self, context: Context, key: Placed, placement: Placement) -> dict[Placed, Emitted]:
        virtual, service = key
        planned, view = context.get(self.plans, service), context.get(self._gateways.gateways, service)
        if planned is None or view is None:
            return {}
        site = Site(cluster=service.cluster, namespace=service.namespace, workspace=planned.workspace)
        selector = _selector(view)
        return {key: emit_gateway(site, virtual, service, selector, placement.listeners, planned.plan)}

    # ---------------------------------------------------------------- tables

    def _sites(self, context: Context, key: ObjectKey, info: TableInfo) -> dict[tuple[Where, ObjectKey], TableSite]:
        doors: dict[Where, dict[str, dict[Placed, set[tuple[int, int]]]]] = {}
        listeners: dict[Placed, list[ResolvedListener]] = {}
        workspaces: dict[Where, str] = {}
        for virtual in info.gateways:
            bound = context.get(self._tables.bound, (key, virtual))
            if bound is None or not bound.bindings:
                continue
            for placed, placement in context.by(self.by_virtual, virtual).items():
                planned = context.get(self.plans, placed[1])
                if planned is None:
                    continue
                where = (placed[1].cluster, placed[1].namespace)
                workspaces[where] = planned.workspace
                listeners[placed] = admitted(virtual, placement.listeners, planned.plan)
                for binding in bound.bindings:
                    for listener in listeners[placed]:
                        if listener.plan.index == binding.listener:
                            for host in binding.hosts:
                                at = doors.setdefault(where, {}).setdefault(host, {})
                                at.setdefault(placed, set()).add((listener.service_port, listener.listening_port))
        out = {}
        for where, hosts in doors.items():
            problems: list[Problem] = []
            groups: dict[tuple[Door, ...], list[str]] = {}
            for host, found in hosts.items():
                made = [self._door(context, key, host, p, feeds, listeners[p], problems) for p, feeds in found.items()]
                groups.setdefault(tuple(sorted(made, key=lambda d: d.gateway)), []).append(host)
            served = tuple(Served(hosts=tuple(group), doors=made_) for made_, group in groups.items())
            out[where, key] = TableSite(workspace=workspaces[where], served=served, problems=tuple(problems))
        return out

    def _door(
        self,
        context: Context,
        table: ObjectKey,
        host: str,
        placed: Placed,
        feeds: set[tuple[int, int]],
        listeners: Iterable[ResolvedListener],
        problems: list[Problem],
    ) -> Door:
        virtual, service = placed
        view = context.get(self._gateways.gateways, service)
        overlapping = [x for x in listeners if any(intersect(host, own) for own in x.plan.hosts)]
        open_ports = {listening for _, listening in feeds}
        bound = context.get(self._tables.bound, (table, virtual))
        mine = {b.listener for b in bound.bindings if host in b.hosts} if bound else set()
        for other in overlapping:
            if other.plan.tls is not None and other.plan.index not in mine and other.listening_port in open_ports:
                text = (
                    f"host {host} is served on listener {other.plan.index} of VirtualGateway {virtual.namespace}/"
                    f"{virtual.name} too, which does not allow it: Istio cannot tell listeners of one port apart"
                )
                problems.append(cannot(table, "spec.hosts", text))
        return Door(
            gateway=gateway_name(virtual, service),
            selector=_selector(view) if view else (),
            feeds=tuple(sorted(feeds)),
            narrow=any(x.listening_port not in open_ports for x in overlapping),
        )

    def _virtual_services(
        self, context: Context, key: tuple[Where, ObjectKey], site: TableSite
    ) -> dict[tuple[Where, ObjectKey], TableObjects]:
        (cluster, namespace), table = key
        info = context.get(self._tables.tables, table)
        decoded = context.get(self._inputs[ROUTE_TABLE], table)
        if info is None or decoded is None or decoded.obj is None:
            return {}
        resolved, warnings = self._tables.resolved(context, info, site.workspace, cluster)
        served = [
            Served(
                hosts=group.hosts,
                doors=group.doors,
                shared=frozenset(h for h in group.hosts if len(context.by(self._by_host, (key[0], h))) > 1),
            )
            for group in site.served
        ]
        place = Site(cluster=cluster, namespace=namespace, workspace=site.workspace)
        annotations = decoded.obj.spec.virtual_service_annotations
        found = emit_virtual_services(place, table, resolved.routes, served, annotations)
        emitted = Emitted(found.objects, (*site.problems, *resolved.problems, *warnings, *found.problems))
        uses = frozenset(resolved.destinations)
        return {key: TableObjects(workspace=site.workspace, emitted=emitted, uses=uses)}

    def _rule_groups(self, key: tuple[Where, ObjectKey], found: TableObjects) -> Iterable[RuleGroup]:
        (cluster, namespace), _ = key
        for used in found.uses:
            if used.object.kind == "Service" and used.subset:
                yield cluster, namespace, found.workspace, used.object

    def _subset_groups(self, key: tuple[Where, ObjectKey], found: TableObjects) -> Iterable[tuple[str, ObjectKey]]:
        return {(at, used.object) for used in found.uses if used.subset for at in ("", key[0][0])}


def _selector(view: GatewayView) -> Labels:
    return tuple(sorted(view.spec.workload_labels.items()))
