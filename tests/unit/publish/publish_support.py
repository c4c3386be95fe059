"""Turns by hand: a class of gateways is a name, a table a contribution with one piece in one RouteConfiguration."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fingerpost.relay.pieces import PieceList, Role, piece
from fingerpost.relay.v1 import endpoints_pb2
from mgmt.publish.guard import GuardSettings
from mgmt.publish.publisher import Publisher
from mgmt.publish.scope import Scope
from mgmt.translate.routing.gateway_plan import GatewayPlan, RouteConfigPlan
from mgmt.translate.scopes import GatewayClass, GatewayKey, ResourceKey
from mgmt.translate.turn import Turn

ROUTES: ResourceKey = ("routes", "http.8080")
LISTENER: ResourceKey = ("listener", "0.0.0.0_8080")
ENDPOINTS: ResourceKey = ("endpoints", "outbound|80||cart.mesh")
EAST: GatewayKey = ("east", "gw/ingress")
WEST: GatewayKey = ("west", "gw/ingress")
EDGE = "networking.gloo.solo.io/VirtualGateway/mgmt/gw/edge"
CART = "networking.gloo.solo.io/VirtualDestination/mgmt/shop/cart"


def gateway_class(name: str) -> GatewayClass:
    return GatewayClass(routes=(), plan=GatewayPlan(route_configs=(RouteConfigPlan(name=name, port=80, feeds=()),)))


def table(number: int, cluster: str = "mgmt") -> str:
    return f"networking.gloo.solo.io/RouteTable/{cluster}/shop/t{number}"


def tables(count: int) -> tuple[str, ...]:
    return tuple(table(n) for n in range(count))


def routes(names: Iterable[str]) -> PieceList:
    return PieceList([piece(Role.TOP, "", b"head"), *(piece(Role.TOP, name, name.encode()) for name in names)])


def listener() -> PieceList:
    return PieceList([piece(Role.TOP, "", b"listener"), piece(Role.TOP, EDGE, b"chain")])


def endpoints(clusters: int) -> PieceList:
    template = endpoints_pb2.EndpointsTemplate()
    for number in range(clusters):
        template.parts.add(cluster=f"c{number}")
    return PieceList([piece(Role.TOP, CART, template.SerializeToString())])


class Plane:
    """A publisher whose demands for new listings are noted."""

    def __init__(self, guard: GuardSettings = GuardSettings()) -> None:  # noqa: B008  (a frozen value)
        self.relists: list[frozenset[str]] = []
        self.woken: list[str] = []
        self.publisher = Publisher(relist=self._relist, now=lambda: 1_000, guard=guard)
        self._held: dict[GatewayClass, frozenset[str]] = {}
        self.version = 0

    def _relist(self, clusters: Collection[str]) -> None:
        self.relists.append(frozenset(clusters))

    def scope(self, gateway: GatewayKey = EAST) -> Scope:
        return self.publisher.scopes(gateway[0])[gateway[1]]

    def watch(self, cluster: str) -> None:
        self.publisher.subscribe(cluster, lambda: self.woken.append(cluster))

    def serve(
        self,
        of: GatewayClass,
        names: Iterable[str],
        *,
        gateways: Iterable[GatewayKey] = (),
        extra: dict[ResourceKey, PieceList | None] | None = None,
    ) -> None:
        """One turn: the class serves these tables from now on, and these gateways are of the class."""
        self.version += 1
        now = frozenset(names)
        before = self._held.get(of, frozenset())
        self._held[of] = now
        changes: dict[ResourceKey, PieceList | None] = {ROUTES: routes(sorted(now)), **(extra or {})}
        turn = Turn(
            classes={of: changes},
            gateways=dict.fromkeys(gateways, of),
            contributions={of: (before - now, now - before)} if before != now else {},
        )
        self.publisher.publish(turn, self.version)

    def withdraw(self, gateway: GatewayKey) -> None:
        self.version += 1
        self.publisher.publish(Turn(gateways={gateway: None}), self.version)

    def agree(self, cluster: str) -> None:
        """The new listing of the cluster is in, and brought nothing back."""
        self.publisher.relisted(cluster, self.publisher.config_version)
