"""Gateways and routes for Istio: which objects each VirtualGateway and each table has at the Istio gateways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from fingerpost.api.internal.discovered_gateway import GatewayKind
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from fingerpost.shared import shared
from mgmt.translate.emit.istio.destination import Labels
from mgmt.translate.emit.istio.destination_rule import emit_service_rule
from mgmt.translate.emit.istio.gateway import admitted, emit_gateway, gateway_name
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.objects import Emitted, cannot
from mgmt.translate.emit.istio.virtual_service import Door, Served, emit_virtual_services
from mgmt.translate.engine import Collection, Context, Engine
from mgmt.translate.graph.freezing import Frozen
from mgmt.translate.graph.gateways import GatewayGraph, Placed, Placement, PlacementGraph
from mgmt.translate.graph.ownership import OwnershipGraph
from mgmt.translate.graph.policies import PolicyGraph
from mgmt.translate.graph.tables import TableGraph, TableInfo
from mgmt.translate.ir import Destination, Value
from mgmt.translate.routing.binding import intersect
from mgmt.translate.routing.gateways import GatewayView
from mgmt.translate.routing.listeners import ResolvedListener

Where = tuple[str, str]  # cluster, namespace
RuleGroup = tuple[str, str, str, ObjectKey]  # cluster, namespace, workspace, Service
SubsetGroup = tuple[str, ObjectKey, str]  # cluster or "", destination, the workspace that federates it or ""


# Where, labels of the proxies, listening port, host: Istio has one list of routes for each.
Heard = tuple[Where, Labels, int, str]


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
    """`uses` are the destinations of the routes, `gateways` the VirtualGateways that lead to them."""

    workspace: str
    emitted: Emitted
    uses: frozenset[Destination]
    gateways: tuple[ObjectKey, ...] = ()


class _Used:
    """The destinations of one object in the routes of a group of tables, counted."""

    def __init__(self, wanted: ObjectKey, workspace: str = "") -> None:
        """`workspace` as in the destinations: set for a federated Service alone."""
        self._object, self._workspace = wanted, workspace
        self.counts: Counter[Destination] = Counter()

    def change(self, key: object, old: TableObjects | None, new: TableObjects | None) -> None:
        for found, step in ((new, 1), (old, -1)):
            for destination in found.uses if found else ():
                mine = (destination.object, destination.workspace) == (self._object, self._workspace)
                if mine:
                    self.counts[destination] += step
                    if not self.counts[destination]:
                        del self.counts[destination]


class _UsedOfService(_Used):
    """What routes at one namespace's gateways use of a Service."""

    def __init__(self, group: RuleGroup) -> None:
        super().__init__(group[3])

    def result(self) -> tuple[Destination, ...] | None:
        return tuple(sorted(self.counts, key=lambda d: (d.host, d.port, d.subset))) or None


class _Subsets(_Used):
    """The subsets of a destination that routes of one cluster use, or ("") those of any."""

    def __init__(self, group: SubsetGroup) -> None:
        super().__init__(group[1], group[2])

    def result(self) -> tuple[Labels, ...] | None:
        return tuple(sorted({d.subset for d in self.counts if d.subset})) or None


class IstioRouteGraph:
    """`finish` adds what depends on which tables are frozen."""

    def __init__(
        self,
        engine: Engine,
        owners: OwnershipGraph,
        gateways: GatewayGraph,
        tables: TableGraph,
        policies: PolicyGraph,
    ) -> None:
        self._owners, self._policies = owners, policies
        self._gateways = gateways
        self._tables = tables
        self.placed = PlacementGraph(engine, gateways, GatewayKind.ISTIO)
        self.gateway_objects = engine.step("istio Gateways", self.placed.placements, self._gateway)
        self.sites = engine.step("istio tables", tables.tables, self._sites)
        self._by_host = self.sites.index(lambda key, site: set(_heard(key[0], site)))
        self.sites_by_table = self.sites.index(lambda key, _: (key[1],))
        self.made = engine.step("istio VirtualServices", self.sites, self._virtual_services)
        self._made_by_table = self.made.index(lambda key, _: (key[1],))

    def finish(self, engine: Engine, frozen: Collection[ObjectKey, Frozen]) -> None:
        self._frozen = frozen
        self.live = engine.step("istio live tables", self.made, self._live)
        self.kept = engine.step("istio frozen tables", frozen, self._kept)
        self._by_table = [tables.index(lambda key, _: (key[1],)) for tables in (self.live, self.kept)]
        tables = (self.live, self.kept)
        self._used_of_services = engine.fold("istio Services used", tables, self._rule_groups, _UsedOfService)
        self.service_rules = engine.step(
            "istio DestinationRules of Services", self._used_of_services, self._service_rule
        )
        self.subsets = engine.fold("istio subsets", tables, self._subset_groups, _Subsets)

    # ---------------------------------------------------------------- frozen tables

    def _live(
        self, context: Context, key: tuple[Where, ObjectKey], made: TableObjects
    ) -> dict[tuple[Where, ObjectKey], TableObjects]:
        return {key: made} if context.get(self._frozen, key[1]) is None else {}

    def _kept(self, context: Context, key: ObjectKey, frozen: Frozen) -> dict[tuple[Where, ObjectKey], TableObjects]:
        """Only where there still are gateways of the table's VirtualGateways."""
        return {
            (where, key): objects
            for where, objects in (frozen.content.objects if frozen.content else ())
            if any(context.get(self._gateways.virtual, virtual) is not None for virtual in objects.gateways)
        }

    def in_force(self) -> dict[tuple[Where, ObjectKey], TableObjects]:
        return {**self.live.items, **self.kept.items}

    def errors(self, context: Context, key: ObjectKey) -> Iterable[Problem]:
        for _, made in sorted(context.by(self._made_by_table, key).items(), key=lambda item: item[0]):
            yield from made.emitted.problems

    def former(self, key: ObjectKey) -> Iterable[tuple[Where, TableObjects]]:
        """What the table adds as of the last turn."""
        return [(at, found) for index in self._by_table for (at, _), found in index.of(key).items()]

    def _gateway(self, context: Context, key: Placed, placement: Placement) -> dict[Placed, Emitted]:
        virtual, service = key
        planned, view = context.get(self.placed.plans, service), context.get(self._gateways.gateways, service)
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
            for placed, placement in context.by(self.placed.by_virtual, virtual).items():
                planned = context.get(self.placed.plans, placed[1])
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
                problems.append(cannot(table, "spec.hosts", text, located=True))
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
        if info is None:
            return {}
        resolved, warnings = self._tables.resolved(context, info, site.workspace, cluster)
        served = [part for group in site.served for part in self._judged(context, key[0], group)]
        place = Site(cluster=cluster, namespace=namespace, workspace=site.workspace)
        found = emit_virtual_services(place, table, resolved.routes, served, info.annotations)
        emitted = Emitted(found.objects, (*site.problems, *resolved.problems, *warnings, *found.problems))
        uses = shared(frozenset(resolved.destinations))
        found_objects = TableObjects(workspace=site.workspace, emitted=emitted, uses=uses, gateways=info.gateways)
        return {key: found_objects}

    def _judged(self, context: Context, where: Where, group: Served) -> Iterable[Served]:
        """Tables share a host only on ports where both serve it."""
        parts: dict[tuple[tuple[Door, ...], bool], list[str]] = {}
        for host in group.hosts:
            for with_others in (False, True):
                doors = []
                for door in group.doors:
                    feeds = tuple(
                        feed
                        for feed in door.feeds
                        if (len(context.by(self._by_host, (where, door.selector, feed[1], host))) > 1) is with_others
                    )
                    if feeds:
                        narrow = door.narrow or len(feeds) < len(door.feeds)
                        doors.append(replace(door, feeds=feeds, narrow=narrow))
                if doors:
                    parts.setdefault((tuple(doors), with_others), []).append(host)
        for (found, with_others), hosts in parts.items():
            yield Served(hosts=tuple(hosts), doors=found, shared=frozenset(hosts if with_others else ()))

    def _rule_groups(self, key: tuple[Where, ObjectKey], found: TableObjects) -> Iterable[RuleGroup]:
        (cluster, namespace), _ = key
        for used in found.uses:
            if used.object.kind == "Service" and not used.workspace:
                yield cluster, namespace, found.workspace, used.object

    def _service_rule(
        self, context: Context, group: RuleGroup, used: tuple[Destination, ...]
    ) -> dict[RuleGroup, Emitted]:
        cluster, namespace, workspace, service = group
        owner = self._owners.owner(context, service) or ""
        ports = sorted({destination.port for destination in used})
        settings = [(port, self._policies.settings(context, owner, service, port)) for port in ports]
        site = Site(cluster=cluster, namespace=namespace, workspace=workspace)
        return {group: emit_service_rule(site, service, used, settings)}

    def _subset_groups(self, key: tuple[Where, ObjectKey], found: TableObjects) -> Iterable[SubsetGroup]:
        return {(at, used.object, used.workspace) for used in found.uses if used.subset for at in ("", key[0][0])}


def _heard(where: Where, site: TableSite) -> Iterable[Heard]:
    """On which ports of which proxies each host is served."""
    for served in site.served:
        for door in served.doors:
            for _, listening in door.feeds:
                for host in served.hosts:
                    yield where, door.selector, listening, host


def _selector(view: GatewayView) -> Labels:
    return tuple(sorted(view.spec.workload_labels.items()))
