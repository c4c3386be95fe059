"""Which listener, filter chain and route list of a gateway take a connection, chosen as Envoy chooses them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fingerpost.api.internal.discovered_gateway import DiscoveredGatewaySpec, GatewayKind
from fingerpost.objects import ObjectKey
from mgmt.explain.request import Asked
from mgmt.explain.serving import ClassServing, IstioServing, Serving
from mgmt.translate.graph.gateways import PlannedGateway
from mgmt.translate.routing.gateway_plan import ChainPlan, GatewayPlan, PortPlan
from mgmt.translate.scopes import RouteClass
from mgmt.translate.translator import Translator


class Doors(NamedTuple):
    """The port found for a request: `service_port` 0 when the proxy listens on no such port."""

    service_port: int
    port: int
    note: str


class Entrance(NamedTuple):
    """Where the request comes in, or `refusal`, which says why it does not."""

    doors: Doors
    chain: ChainPlan | None
    serving: Serving | None
    refusal: str = ""


def enter(translator: Translator, gateway: ObjectKey, spec: DiscoveredGatewaySpec, asked: Asked) -> Entrance:
    istio = spec.gateway_kind is GatewayKind.ISTIO
    planned = planned_gateway(translator, gateway, spec)
    plan = planned.plan if planned else GatewayPlan()
    doors = _doors(plan, spec, asked.port)
    found = next((p for p in plan.ports if p.port == doors.port), None)
    if found is None:
        offers = ", ".join(_offer(p, spec) for p in plan.ports) or "none at all"
        what = f"port {asked.port} is no port with a listener; listeners are on: {offers}"
        return Entrance(doors, None, None, what)
    chain = _chain(found, asked)
    if chain is None:
        return Entrance(doors, None, None, _mismatch(found, asked))
    serving = serving_of(translator, gateway, spec, chain)
    if serving is None and not istio:
        return Entrance(doors, chain, None, f"the routes {chain.route_config} are not built")
    return Entrance(doors, chain, serving)


def planned_gateway(translator: Translator, gateway: ObjectKey, spec: DiscoveredGatewaySpec) -> PlannedGateway | None:
    istio = spec.gateway_kind is GatewayKind.ISTIO
    return (translator.istio.routes.placed if istio else translator.gateways.envoy).plans.items.get(gateway)


def serving_of(
    translator: Translator, gateway: ObjectKey, spec: DiscoveredGatewaySpec, chain: ChainPlan
) -> Serving | None:
    """The route list behind a filter chain."""
    if spec.gateway_kind is GatewayKind.ISTIO:
        planned = planned_gateway(translator, gateway, spec)
        configs = planned.plan.route_configs if planned else ()
        config = next((c for c in configs if c.name == chain.route_config), None)
        if planned is None or config is None:
            return None
        own = RouteClass(config=config, workspace=planned.workspace, cluster=gateway.cluster)
        return IstioServing(translator, gateway, own)
    classes = translator.route_classes.of_gateway.items.get(gateway, ())
    routes = next((c for c in classes if c.config.name == chain.route_config), None)
    return ClassServing(translator, routes) if routes else None


def _doors(plan: GatewayPlan, spec: DiscoveredGatewaySpec, wanted: int) -> Doors:
    """People name the port of the Service, that of the proxy, or that of a load balancer's address, in this order."""
    listening = {port.port for port in plan.ports}
    for port in spec.ports:
        if port.number == wanted and port.target in listening:
            return Doors(port.number, port.target, "")
    for port in spec.ports:
        if port.target == wanted and port.target in listening:
            return Doors(port.number, port.target, f"{wanted} is the port of the proxy")
    for address in spec.external_addresses:
        for number, outside in address.ports.items():
            port_of = next((p for p in spec.ports if str(p.number) == number), None)
            if outside == wanted and port_of is not None and port_of.target in listening:
                return Doors(port_of.number, port_of.target, f"{wanted} is the port at {address.address}")
    return Doors(0, 0, "")


def _offer(port: PortPlan, spec: DiscoveredGatewaySpec) -> str:
    number = next((p.number for p in spec.ports if p.target == port.port), port.port)
    return f"{number} {'https' if any(c.tls for c in port.chains) else 'http'}"


def _chain(port: PortPlan, asked: Asked) -> ChainPlan | None:
    if asked.scheme == "http":
        return next((c for c in port.chains if c.tls is None), None)
    secure = [c for c in port.chains if c.tls is not None]
    for name in sni_order(asked.sni):
        for chain in secure:
            if name in chain.server_names or (not name and not chain.server_names):
                return chain
    return None


def sni_order(name: str) -> Iterable[str]:
    """The names under which Envoy looks a chain up: exact, then wildcards, the longest first, then any (empty)."""
    if name:
        yield name
        dot = name.find(".", 1)
        while 0 < dot < len(name) - 1:
            yield f"*{name[dot:]}"
            dot = name.find(".", dot + 1)
    yield ""


def _mismatch(port: PortPlan, asked: Asked) -> str:
    if asked.scheme == "http":
        return f"port {asked.port} speaks https only"
    if not any(c.tls for c in port.chains):
        return f"port {asked.port} speaks plain http"
    names = sorted({n for c in port.chains for n in c.server_names})
    return f'no certificate is offered for the name "{asked.sni}"; names offered: {", ".join(names)}'
