"""Names of federated Services, and who may use them."""

from __future__ import annotations

import pytest
from destination_cases import TABLE, World, reference, service

from fingerpost.api.admin.workspace_settings import Federation
from fingerpost.api.common import ObjectSelector, PortSelector
from fingerpost.objects import ObjectKey
from mgmt.translate.ir import Destination
from mgmt.translate.routing import errors
from mgmt.translate.routing.destinations import resolve
from mgmt.translate.routing.errors import RouteError
from mgmt.translate.routing.federation import at_home, federate, federated_host

ON = Federation(enabled=True)
TWO_PORTS = "[{port: 80, name: http-web}, {port: 9090, name: admin}]"


def resolved(world: World, text: str = "{ref: {name: cart}}", gateway: str = "shop") -> Destination | RouteError:
    """From a table of workspace shop in east, at a gateway of another cluster."""
    return resolve(reference(text), TABLE, "shop", gateway, None, world)


@pytest.mark.spec("D-48")
def test_the_name_tells_service_namespace_and_cluster() -> None:
    world = World([service()])
    world.federations["shop"] = ON
    found = resolved(world)
    assert isinstance(found, Destination)
    assert found.cluster_name == "outbound|80||cart.shop.svc.east.global"
    own = resolve(reference("{ref: {name: cart}}"), TABLE, "shop", "shop", "east", world)
    assert isinstance(own, Destination)
    assert own.host == "cart.shop.svc.east.local", "in its own cluster a Service keeps its own name"


@pytest.mark.spec("D-48", "D-53")
def test_the_workspace_of_the_gateway_decides() -> None:
    cart = service()
    world = World([cart], {cart.key: ["gateways"]})
    world.federations["shop"] = ON
    refused = resolved(world, gateway="gateways")
    assert isinstance(refused, RouteError)
    assert "not federated" in refused.reason
    world.federations["gateways"] = Federation(enabled=True, host_suffix="mesh.example")
    found = resolved(world, gateway="gateways")
    assert isinstance(found, Destination)
    assert (found.host, found.workspace) == ("cart.shop.svc.east.mesh.example", "gateways")


@pytest.mark.spec("D-50")
def test_a_port_that_is_not_exposed_is_refused() -> None:
    world = World([service(ports=TWO_PORTS)])
    world.federations["shop"] = Federation(enabled=True, ports=(PortSelector(name="http-web"),))
    assert isinstance(resolved(world, "{ref: {name: cart}, port: {number: 80}}"), Destination)
    refused = resolved(world, "{ref: {name: cart}, port: {number: 9090}}")
    assert isinstance(refused, RouteError)
    assert (refused.kind, "port 9090" in refused.reason) == (errors.PORT, True)


@pytest.mark.spec("D-43")
def test_a_name_that_another_object_holds_leads_nowhere() -> None:
    cart = service()
    world = World([cart])
    world.federations["shop"] = ON
    host = federated_host(cart.key, "")
    world.holders[host, "shop"] = ObjectKey("networking.gloo.solo.io/VirtualDestination", "east", "shop", "older")
    refused = resolved(world)
    assert isinstance(refused, RouteError)
    assert f"does not hold its host {host}" in refused.reason


@pytest.mark.spec("D-49")
@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (ObjectSelector(labels={"app": "cart"}), True),
        (ObjectSelector(labels={"app": "cart"}, cluster="west"), False),
        (ObjectSelector(workspace="other"), False),
        (ObjectSelector(), True),
    ],
)
def test_what_is_selected(selector: ObjectSelector, selected: bool) -> None:
    federation = Federation(enabled=True, service_selector=(ObjectSelector(name="else"), selector))
    assert (federate(service(), "shop", "shop", federation) is not None) == selected
    assert federate(service(more=", type: ExternalName, externalName: a.example"), "shop", "shop", ON) is None


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        ("name: http", "HTTP"),
        ("name: http2-web", "HTTP2"),
        ("name: grpc-api", "GRPC"),
        ("name: tcp-db", "TCP"),
        ("name: httpbin", "HTTP"),
        ("name: web", "TCP"),
        ("name: web, appProtocol: http", "HTTP"),
        ("name: web, appProtocol: kubernetes.io/h2c", "HTTP2"),
        ("name: http, appProtocol: tcp", "TCP"),
    ],
)
def test_the_protocol_of_a_port(port: str, protocol: str) -> None:
    view = federate(service(ports=f"[{{port: 80, {port}}}]"), "shop", "shop", ON)
    assert view is not None
    assert [p.protocol for p in view.spec.ports] == [protocol]


@pytest.mark.spec("D-92")
def test_at_home_one_object_has_the_ports_of_all() -> None:
    cart = service(ports=TWO_PORTS)
    one = federate(cart, "shop", "a", Federation(enabled=True, ports=(PortSelector(number=9090),)))
    two = federate(cart, "shop", "b", Federation(enabled=True, ports=(PortSelector(number=80),)))
    assert one is not None
    assert two is not None
    view = at_home([one, two], "shop")
    assert (view.workspace, [p.number for p in view.spec.ports]) == ("shop", [80, 9090])
