"""From RouteTables to routes in pieces, per class of like RouteConfigurations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from fingerpost.api.common import DestinationReference
from fingerpost.api.networking.route_table import FailureMode
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter
from fingerpost.shared import shared
from mgmt.translate import ir
from mgmt.translate.emit.envoy.route_config import table_pieces
from mgmt.translate.engine import Collection, Context, Engine
from mgmt.translate.graph.freezing import Frozen, alike
from mgmt.translate.graph.gateways import GatewayGraph
from mgmt.translate.graph.inputs import ROUTE_TABLE, Decoded, Inputs
from mgmt.translate.graph.ownership import OwnershipGraph
from mgmt.translate.graph.world import TrackedWorld, ViewGraph
from mgmt.translate.routing.binding import Binding, TableView, bind, referenced_gateways, unreachable
from mgmt.translate.routing.destinations import clusters_of_interest, reference_warnings, resolve
from mgmt.translate.routing.errors import RouteError
from mgmt.translate.routing.gateway_plan import Feed
from mgmt.translate.routing.plan import PlannedForward, Resolved, TablePlan
from mgmt.translate.routing.resolve import resolve_routes
from mgmt.translate.routing.route_table import compile_table
from mgmt.translate.scopes import RouteClass, RouteContribution
from mgmt.translate.workspace.seniority import seniority

_NONE: Mapping[str, str] = MappingProxyType({})


class TableInfo(ir.Value, frozen=True):
    """A table that takes part. `clusters`: those whose gateways may resolve some Service otherwise than all others."""

    plan: TablePlan
    workspace: str
    created: str
    gateways: tuple[ObjectKey, ...]
    clusters: frozenset[str]
    labels: Mapping[str, str]
    http: bool
    freezes: bool
    annotations: Mapping[str, str]

    @property
    def view(self) -> TableView:
        plan = self.plan
        return TableView(key=plan.key, hosts=plan.hosts, labels=self.labels, workspace=self.workspace, http=self.http)

    @property
    def order(self) -> tuple[str, str, str, str]:
        return seniority(self.created or None, self.plan.key)


class BoundTable(ir.Value, frozen=True):
    """A table on one VirtualGateway; without bindings only the problems count."""

    bindings: tuple[Binding, ...]
    clusters: frozenset[str]
    problems: tuple[Problem, ...]


class ServedTable(ir.Value, frozen=True):
    """A table resolved for every class of RouteConfiguration that it is on, at plain Envoys."""

    contributions: tuple[tuple[RouteClass, RouteContribution], ...]
    problems: tuple[Problem, ...]
    ports: frozenset[int]  # of the gateways' Services


class Clusters:
    """The clusters that matter to the tables of one VirtualGateway, counted."""

    def __init__(self, group: ObjectKey) -> None:
        self._counts: dict[str, int] = {}
        self._tables = 0

    def change(self, key: object, old: BoundTable | None, new: BoundTable | None) -> None:
        self._tables += (new is not None) - (old is not None)
        for cluster in new.clusters if new else ():
            self._counts[cluster] = self._counts.get(cluster, 0) + 1
        for cluster in old.clusters if old else ():
            self._counts[cluster] -= 1
            if not self._counts[cluster]:
                del self._counts[cluster]

    def result(self) -> frozenset[str] | None:
        return frozenset(self._counts) if self._tables else None


def _references(plan: TablePlan) -> Iterable[DestinationReference]:
    for route in plan.routes:
        if isinstance(route.action, PlannedForward):
            for wanted in route.action.destinations:
                yield wanted.ref


def on_one_port(routes: Sequence[ir.Route], feeds: Sequence[Feed]) -> Sequence[ir.Route]:
    """Several Service ports can lead to one listening port, where nothing tells them apart any more: a matcher on any
    of them means the first.
    """
    first, *others = dict.fromkeys(feed.service_port for feed in feeds)
    if not others:
        return routes
    return [
        msgspec.structs.replace(
            route,
            matchers=tuple(msgspec.structs.replace(m, port=first) if m.port in others else m for m in route.matchers),
        )
        for route in routes
    ]


class TableGraph:
    """Tables and where they bind. `serve` adds part two, once the classes are known, `contribute` the last."""

    def __init__(
        self, engine: Engine, inputs: Inputs, owners: OwnershipGraph, gateways: GatewayGraph, views: ViewGraph
    ) -> None:
        self._owners = owners
        self._gateways = gateways
        self._views = views
        self.tables = engine.step("tables", inputs[ROUTE_TABLE], self._table)
        self.bound = engine.step("bindings", self.tables, self._bind)
        self.bound_by_table = self.bound.index(lambda key, _: (key[0],))
        self.bound_by_gateway = self.bound.index(lambda key, b: (key[1],) if b.bindings else ())
        self.clusters = engine.fold("clusters named by tables", (self.bound,), lambda key, _: (key[1],), Clusters)

    def _table(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, TableInfo]:
        workspace = self._owners.config_owner(context, key)
        if workspace is None or (table := decoded.obj) is None:
            return {}
        plan = compile_table(key, table)
        clusters = shared(frozenset(c for ref in _references(plan) for c in clusters_of_interest(ref, key)))
        info = TableInfo(
            plan=plan,
            workspace=workspace,
            created=decoded.created,
            gateways=referenced_gateways(key, table.spec.virtual_gateways),
            clusters=clusters,
            labels=table.metadata.labels or _NONE,
            http=bool(table.spec.http),
            freezes=table.spec.failure_mode is FailureMode.FREEZE_CONFIG,
            annotations=table.spec.virtual_service_annotations or _NONE,
        )
        return {key: info}

    def _bind(self, context: Context, key: ObjectKey, info: TableInfo) -> dict[tuple[ObjectKey, ObjectKey], BoundTable]:
        bound = {}
        for i, gateway in enumerate(info.gateways if info.plan.hosts else ()):
            path = f"spec.virtualGateways[{i}]"
            virtual = context.get(self._gateways.virtual, gateway)
            if virtual is None:
                report = Reporter(key)
                own = self._owners.owner(context, gateway) == info.workspace
                unreachable(report, path, gateway, info.workspace, own_namespace=own)
                bindings: tuple[Binding, ...] = ()
                problems = tuple(report.problems)
            else:
                available = self._owners.available(context, key, info.labels, virtual.workspace)
                bindings, problems = bind(info.view, gateway, virtual.listeners, available=available, path=path)
            bound[key, gateway] = BoundTable(bindings=bindings, clusters=info.clusters, problems=problems)
        return bound

    # ---------------------------------------------------------------- part two

    def serve(self, engine: Engine, classes: Collection[RouteClass, bool]) -> None:
        self._classes_by_gateway = classes.index(lambda c, _: {feed.gateway for feed in c.config.feeds})
        self.served = engine.step("served tables", self.tables, self._serve)

    def contribute(self, engine: Engine, frozen: Collection[ObjectKey, Frozen]) -> None:
        """Part three: what is served, or what was when it was without error."""
        self.frozen = frozen
        self.contributions = engine.step("contributions", self.served, self._contribute)
        self.contributions_by_host = self.contributions.index(lambda key, c: [(key[0], h) for h in c.hosts])
        self.contributions_by_table = self.contributions.index(lambda key, _: (key[1],))

    def resolved(
        self, context: Context, info: TableInfo, workspace: str, cluster: str | None
    ) -> tuple[Resolved, tuple[Problem, ...]]:
        """The table's routes for gateways of one workspace, in `cluster` or (None) where no Service is named."""
        world = TrackedWorld(context, self._views)
        report = Reporter(info.plan.key)

        def resolver(ref: DestinationReference, source: ir.Source) -> ir.Destination | RouteError:
            for warning in reference_warnings(ref):
                report.warn(source.path, "SubsetIgnored", warning)
            return resolve(ref, info.plan.key, info.workspace, workspace, cluster, world)

        return resolve_routes(info.plan, resolver), tuple(report.problems)

    def _serve(self, context: Context, key: ObjectKey, info: TableInfo) -> dict[ObjectKey, ServedTable]:
        hosts: dict[tuple[ObjectKey, int], tuple[str, ...]] = {}
        for (_, gateway), bound in context.by(self.bound_by_table, key).items():
            for binding in bound.bindings:
                hosts[gateway, binding.listener] = binding.hosts
        classes: dict[RouteClass, None] = {}
        for gateway in info.gateways:
            classes.update(dict.fromkeys(context.by(self._classes_by_gateway, gateway)))
        problems: dict[Problem, None] = {}
        resolved: dict[tuple[str, str], Resolved] = {}
        contributions = []
        ports: set[int] = set()
        for route_class in sorted(classes, key=lambda c: (c.config.name, c.workspace, c.cluster)):
            feeds = [f for f in route_class.config.feeds if (f.gateway, f.listener) in hosts]
            if not feeds:
                continue
            which = (route_class.workspace, route_class.cluster)
            if which not in resolved:
                resolved[which], warnings = self.resolved(context, info, which[0], which[1] or None)
                problems.update(dict.fromkeys((*resolved[which].problems, *warnings)))
            ports.update(f.service_port for f in feeds)
            served = tuple(dict.fromkeys(h for f in feeds for h in hosts[f.gateway, f.listener]))
            found = resolved[which]
            runs = table_pieces(info.plan.contribution, on_one_port(found.routes, feeds), feeds[0].service_port)
            contributions.append(
                (
                    route_class,
                    RouteContribution(
                        table=key,
                        order=info.order,
                        hosts=served,
                        ordered=runs.ordered,
                        normal=runs.normal,
                        last=runs.last,
                        uses=shared(frozenset(found.destinations)),
                    ),
                )
            )
        return {
            key: ServedTable(
                contributions=tuple(contributions), problems=tuple(problems), ports=shared(frozenset(ports))
            )
        }

    def _contribute(
        self, context: Context, key: ObjectKey, served: ServedTable
    ) -> dict[tuple[RouteClass, ObjectKey], RouteContribution]:
        frozen = context.get(self.frozen, key)
        if frozen is None:
            return {(route_class, key): contribution for route_class, contribution in served.contributions}
        out: dict[tuple[RouteClass, ObjectKey], RouteContribution] = {}
        for then, contribution in frozen.content.routes if frozen.content else ():
            for gateway in {feed.gateway for feed in then.config.feeds}:
                for now in context.by(self._classes_by_gateway, gateway):
                    if now == then or (alike(then, now) and (now, key) not in out):
                        out[now, key] = contribution
        return out

    def former(self, key: ObjectKey) -> Iterable[tuple[RouteClass, RouteContribution]]:
        """What the table adds as of the last turn."""
        found = self.contributions_by_table.of(key)
        return [(route_class, contribution) for (route_class, _), contribution in found.items()]
