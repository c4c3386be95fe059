"""Classes of like gateways, their route lists and the resources that belong to a class as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from fingerpost.objects import ObjectKey
from fingerpost.relay.pieces import PieceList
from fingerpost.relay.route_forms import Form
from mgmt.translate.emit.envoy.listener import (
    eastwest_listener_name,
    encode_eastwest_listener,
    encode_listener,
    listener_name,
)
from mgmt.translate.engine import Collection, Context, Engine, Present
from mgmt.translate.graph.destinations import DestinationGraph
from mgmt.translate.graph.gateways import GatewayGraph, PlannedGateway
from mgmt.translate.graph.tables import TableGraph
from mgmt.translate.ir import Value
from mgmt.translate.routing.eastwest import Exposure, east_west_chains
from mgmt.translate.scopes import GatewayClass, ResourceKey, RouteClass

Resources = dict[ResourceKey, PieceList]
EAST_WEST = "east-west"


class PartResources(Value, frozen=True):
    resources: Mapping[ResourceKey, PieceList]


class RouteClassGraph:
    """Which classes of RouteConfigurations there are; made before the tables are resolved for them."""

    def __init__(self, engine: Engine, gateways: GatewayGraph, tables: TableGraph) -> None:
        self._tables = tables
        self.of_gateway = engine.step("route classes", gateways.envoy.plans, self._routes)
        self.present = engine.fold("route classes present", (self.of_gateway,), lambda _, found: found, Present)

    def _routes(
        self, context: Context, key: ObjectKey, planned: PlannedGateway
    ) -> dict[ObjectKey, tuple[RouteClass, ...]]:
        classes = []
        for config in planned.plan.route_configs:
            named: set[str] = set()
            for feed in config.feeds:
                found = context.get(self._tables.clusters, feed.gateway)
                named |= found or frozenset()
            cluster = key.cluster if key.cluster in named else ""
            classes.append(RouteClass(config=config, workspace=planned.workspace, cluster=cluster))
        return {key: tuple(classes)}


class GatewayClassGraph:
    """Made last: it joins plans, routes and the east-west part of each gateway."""

    def __init__(
        self,
        engine: Engine,
        gateways: GatewayGraph,
        routes: RouteClassGraph,
        forms: Collection[RouteClass, Form],
        destinations: DestinationGraph,
    ) -> None:
        self._gateways = gateways
        self._forms = forms
        self._routes = routes
        self._destinations = destinations
        self.east_west = engine.step("east-west listeners", destinations.at_gateway, self._east_west)
        self.of_gateway = engine.step("gateway classes", gateways.envoy.plans, self._class)
        self.present = engine.fold("gateway classes present", (self.of_gateway,), lambda _, c: (c,), Present)
        self.statics = engine.step("resources of classes", self.present, self._statics)

    def _east_west(
        self, context: Context, key: ObjectKey, found: tuple[Exposure, ...]
    ) -> dict[ObjectKey, PartResources]:
        gateway = context.get(self._gateways.gateways, key)
        selections = context.all(self._destinations.east_west).values()
        targets = {
            g.termination.target for s in selections for g in s.gateways if g.key == key and g.termination is not None
        }
        if gateway is None or not targets:
            return {}
        resources: Resources = {}
        chains = east_west_chains(found)
        for port in sorted(targets):
            name = eastwest_listener_name(port)
            resources["listener", name] = PieceList(encode_eastwest_listener(port, chains))
        for exposure in found:
            built = context.get(self._destinations.built, exposure.local)
            if built is None:
                continue
            name = exposure.local.cluster_name
            resources["cluster", name] = built.cluster
            if built.endpoints is not None:
                resources["endpoints", name] = built.endpoints
        return {key: PartResources(resources=resources)}

    def _class(self, context: Context, key: ObjectKey, planned: PlannedGateway) -> dict[ObjectKey, GatewayClass]:
        parts = ((EAST_WEST, key),) if context.get(self.east_west, key) else ()
        routes = context.get(self._routes.of_gateway, key) or ()
        return {key: GatewayClass(routes=routes, plan=planned.plan, parts=parts)}

    def _statics(self, context: Context, gateway_class: GatewayClass, _: bool) -> dict[GatewayClass, PartResources]:
        resources: Resources = {}
        forms = {r.config.name: context.get(self._forms, r) or Form.PLAIN for r in gateway_class.routes}
        for port in gateway_class.plan.ports:
            resources["listener", listener_name(port.port)] = PieceList(encode_listener(port, forms))
        for _name, key in gateway_class.parts:
            part = context.get(self.east_west, key)
            if part is not None:
                resources.update(part.resources)
        return {gateway_class: PartResources(resources=resources)}
