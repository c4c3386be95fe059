"""East-west gateways, and what a VirtualDestination has in which cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from destination_cases import decoded, service, virtual

from fingerpost.api.admin.workspace_settings import EastWestGatewaySelector, Options
from fingerpost.api.common import ClientMode
from fingerpost.api.internal.discovered_gateway import DiscoveredGatewaySpec
from fingerpost.api.internal.service_facts import ServiceFactsSpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Severity
from fingerpost.relay.v1 import endpoints_pb2
from mgmt.translate.emit.envoy.endpoints import encode_endpoints
from mgmt.translate.ir import Destination
from mgmt.translate.routing.destination_upstreams import (
    Resolved,
    Surroundings,
    exposures,
    service_upstream,
    virtual_upstream,
)
from mgmt.translate.routing.eastwest import (
    EastWestGateway,
    Mode,
    client_mode,
    east_west_chains,
    effective_selectors,
    select_east_west,
)
from mgmt.translate.routing.gateways import GatewayView
from mgmt.translate.routing.virtual_destinations import select_backing

SETTINGS = ObjectKey("admin.gloo.solo.io/WorkspaceSettings", "mgmt", "gloo-mesh", "global")
BOTH_PORTS = "[{number: 15443, name: tls, target: 15443}, {number: 16443, name: https, target: 16444}]"
CART = virtual(
    "{hosts: [cart.shop.example], services: [{labels: {app: cart}}], "
    "ports: [{number: 80, protocol: HTTP, targetPort: {name: http-web}}]}"
)
SERVICES = {c: service("cart", c, ports="[{port: 8000, name: http-web}]") for c in ("east", "west")}
BACKING = select_backing(CART, SERVICES.values(), (), lambda key: key.namespace)
HTTP = Destination(object=CART.key, host="cart.shop.example", port=80)
READY = ServiceFactsSpec(ready_ports=(8000,), service_accounts=("cart",))


def found(
    *addresses: str, ports: str = BOTH_PORTS, kind: str = "envoy", labels: str = "istio: eastwestgateway"
) -> DiscoveredGatewaySpec:
    outside = ", ".join(f"{{address: {a}, region: us-west-2}}" for a in addresses)
    return decoded(
        f"{{gatewayKind: {kind}, serviceLabels: {{{labels}}}, ports: {ports}, "
        f"externalAddresses: [{outside}], serviceAccounts: [ew]}}",
        DiscoveredGatewaySpec,
    )


def selected(
    specs: Mapping[str, DiscoveredGatewaySpec], entry: str | None = None, cluster: str = "west"
) -> tuple[tuple[EastWestGateway, ...], tuple[str, ...]]:
    own = Options(east_west_gateways=(decoded(entry, EastWestGatewaySelector),)) if entry else None
    views = [GatewayView(ObjectKey("core/Service", cluster, "gw", n), s, "gateways") for n, s in specs.items()]
    gateways, problems = select_east_west(SETTINGS, effective_selectors(None, own)[0], views)
    assert all(p.severity is Severity.WARNING for p in problems)
    return gateways, tuple(p.message for p in problems)


def outcome(
    gateways: Mapping[str, Sequence[EastWestGateway]],
    facts: Mapping[str, ServiceFactsSpec],
    mode: Mode = Mode.AUTO,
    destination: Destination = HTTP,
    holds: bool = True,
) -> tuple[Resolved, dict[str, list[str]]]:
    """Also the addresses that each cluster offers to the others."""
    around = Surroundings(
        facts=lambda key: facts.get(key.cluster),
        gateways=lambda cluster: gateways.get(cluster, ()),
        external=lambda key: None,
        trust_domain=lambda cluster: cluster,
        holds_host=lambda cluster: holds,
    )
    resolved = virtual_upstream(CART, destination, BACKING, mode, around)
    assert resolved.endpoints is not None
    offered = {p.cluster: [f"{a.host}:{a.port}" for a in p.remote] for p in resolved.endpoints.parts}
    return resolved, offered


@pytest.mark.spec("D-20")
def test_default_selector() -> None:
    gateways, problems = selected({"ew": found("203.0.113.7"), "plain": found("203.0.113.8", labels="istio: ingress")})
    assert [g.key.name for g in gateways] == ["ew"]
    assert problems == ()
    gateways, problems = selected({"ew": found("203.0.113.7", ports="[{number: 80, name: http}]")})
    assert gateways == ()
    assert "gw/ew" in problems[0]


@pytest.mark.spec("D-21")
def test_host_info_override_replaces_all_addresses() -> None:
    entry = "{selector: {labels: {istio: eastwestgateway}}, hostInfoOverrides: [{addr: lb.example.com, port: 443}]}"
    gateways, _ = selected({"ew": found("203.0.113.7", "203.0.113.8")}, entry)
    resolved, offered = outcome({"west": gateways}, {"west": READY})
    assert offered == {"east": [], "west": ["lb.example.com:443"]}
    assert resolved.problems == ()


@pytest.mark.spec("D-22")
def test_two_gateways_with_two_and_one_addresses() -> None:
    gateways, _ = selected({"a": found("203.0.113.7", "203.0.113.8"), "b": found("203.0.113.9")})
    _, offered = outcome({"west": gateways}, {"west": READY})
    assert offered["west"] == ["203.0.113.7:16443", "203.0.113.8:16443", "203.0.113.9:16443"]


@pytest.mark.spec("D-23")
def test_client_mode_precedence() -> None:
    sni, end = decoded("{sniRouting: {}}", ClientMode), decoded("{tlsTermination: {}}", ClientMode)
    assert (
        client_mode(end, Options(virtual_dest_client_mode=sni), Options(virtual_dest_client_mode=sni))
        is Mode.TLS_TERMINATION
    )
    assert (
        client_mode(None, Options(virtual_dest_client_mode=sni), Options(virtual_dest_client_mode=end))
        is Mode.SNI_ROUTING
    )
    assert client_mode(None, None, Options(virtual_dest_client_mode=end)) is Mode.TLS_TERMINATION
    assert client_mode(None, None, None) is Mode.AUTO


@pytest.mark.spec("D-24")
@pytest.mark.parametrize(
    ("mode", "port"), [(Mode.SNI_ROUTING, 15443), (Mode.TLS_TERMINATION, 16443), (Mode.AUTO, 15443)]
)
def test_the_mode_decides_the_port_of_an_istio_gateway(mode: Mode, port: int) -> None:
    gateways, _ = selected({"ew": found("203.0.113.7", kind="istio")})
    assert outcome({"west": gateways}, {"west": READY}, mode)[1]["west"] == [f"203.0.113.7:{port}"]


@pytest.mark.spec("D-25")
@pytest.mark.parametrize(
    ("ports", "mode", "reason"),
    [
        ("[{number: 15443, name: tls}]", Mode.TLS_TERMINATION, "no port for tlsTermination"),
        (BOTH_PORTS, Mode.SNI_ROUTING, "sniRouting cannot work through the Envoy gateway gw/ew"),
    ],
)
def test_a_gateway_that_cannot_serve_the_mode_adds_nothing(ports: str, mode: Mode, reason: str) -> None:
    gateways, _ = selected({"ew": found("203.0.113.7", ports=ports)})
    resolved, offered = outcome({"west": gateways}, {"west": READY}, mode)
    assert offered["west"] == []
    (problem,) = resolved.problems
    assert problem.severity is Severity.WARNING
    assert problem.message.startswith("cluster west ")
    assert reason in problem.message


@pytest.mark.spec("D-38", "D-47")
def test_only_a_cluster_with_a_ready_pod_offers_its_gateways() -> None:
    gateways = {c: selected({"ew": found(f"203.0.113.{i}")}, cluster=c)[0] for i, c in enumerate(("east", "west"))}
    before = outcome(gateways, {"east": READY, "west": READY})
    gone = outcome(gateways, {"east": READY, "west": ServiceFactsSpec()})
    assert before[1] == {"east": ["203.0.113.0:16443"], "west": ["203.0.113.1:16443"]}
    assert gone[1] == {"east": ["203.0.113.0:16443"], "west": []}
    assert outcome(gateways, {"east": READY, "west": READY}) == before
    assert before[0].endpoints is not None
    (piece,) = encode_endpoints(HTTP, before[0].endpoints, prefer_locality=False)
    template = endpoints_pb2.EndpointsTemplate.FromString(piece.body)
    assert template.cluster_name == "outbound|80||cart.shop.example"
    assert [(p.cluster, p.local.name, p.local.port) for p in template.parts] == [
        ("east", "cart", 8000),
        ("west", "cart", 8000),
    ]
    assert template.parts[1].remote[0].mutual_tls
    assert template.parts[1].remote[0].region == "us-west-2"
    assert not template.prefer_locality


@pytest.mark.spec("D-42")
def test_a_subset_is_offered_where_a_ready_pod_has_the_labels() -> None:
    gateways = {c: selected({"ew": found("203.0.113.7")}, cluster=c)[0] for c in ("east", "west")}
    v3 = Destination(object=CART.key, host=HTTP.host, port=80, subset=(("version", "v3"),))
    labelled = ServiceFactsSpec(ready_ports=(8000,), labels=({"version": "v2"}, {"version": "v3"}))
    other = ServiceFactsSpec(ready_ports=(8000,), labels=({"version": "v2"},))
    resolved, offered = outcome(gateways, {"east": other, "west": labelled}, destination=v3)
    assert offered == {"east": [], "west": ["203.0.113.7:16443"]}
    assert resolved.upstream.mesh is not None
    assert resolved.upstream.mesh.sni == "outbound_.80_.version-v3_.cart.shop.example"
    assert resolved.endpoints is not None
    (piece,) = encode_endpoints(v3, resolved.endpoints, prefer_locality=True)
    template = endpoints_pb2.EndpointsTemplate.FromString(piece.body)
    assert dict(template.parts[0].local.subset) == {"version": "v3"}
    assert template.prefer_locality


def test_identities_are_pods_and_terminating_gateways() -> None:
    gateways, _ = selected({"ew": found("203.0.113.7")})
    resolved, _ = outcome({"west": gateways}, {"east": READY, "west": READY}, Mode.TLS_TERMINATION)
    assert resolved.upstream.mesh is not None
    assert resolved.upstream.mesh.identities == (
        "spiffe://east/ns/shop/sa/cart",
        "spiffe://west/ns/gw/sa/ew",
        "spiffe://west/ns/shop/sa/cart",
    )
    istio, _ = selected({"ew": found("203.0.113.7", kind="istio")})
    passed, _ = outcome({"west": istio}, {"west": READY}, Mode.SNI_ROUTING)
    assert passed.upstream.mesh is not None
    assert passed.upstream.mesh.identities == ("spiffe://west/ns/shop/sa/cart",)


@pytest.mark.spec("D-26", "D-27")
def test_a_gateway_lets_in_exactly_what_is_ready_and_leads_to_local_clusters_only() -> None:
    def chains(facts: ServiceFactsSpec, mode: Mode = Mode.AUTO) -> list[tuple[str, str, str]]:
        exposed = exposures(CART, BACKING, "west", "cluster.local", mode, lambda key: facts, [(("version", "v3"),)])
        return [tuple(c) for c in east_west_chains(exposed)]

    owner = "networking.gloo.solo.io/VirtualDestination/east/shop/cart"
    whole = ("outbound_.80_._.cart.shop.example", "outbound|8000||cart.shop.svc.cluster.local", owner)
    assert chains(READY) == [whole]
    with_v3 = ServiceFactsSpec(ready_ports=(8000,), labels=({"version": "v3"},))
    assert chains(with_v3) == [
        whole,
        ("outbound_.80_.version-v3_.cart.shop.example", "outbound|8000|version-v3|cart.shop.svc.cluster.local", owner),
    ]
    assert chains(ServiceFactsSpec()) == []
    assert chains(READY, Mode.SNI_ROUTING) == []
    local = Destination(object=SERVICES["west"].key, host="cart.shop.svc.cluster.local", port=8000)
    target = service_upstream(SERVICES["west"], local)
    assert target.upstream.destination.cluster_name == whole[1]
    assert target.endpoints is not None
    assert [(p.cluster, p.remote) for p in target.endpoints.parts] == [("west", ())]


@pytest.mark.spec("D-91")
def test_one_host_at_one_gateway_belongs_to_the_older() -> None:
    young = virtual(
        "{hosts: [cart.shop.example], services: [{}], "
        "ports: [{number: 80, protocol: HTTP, targetPort: {number: 8000}}]}",
        "young",
        created="2026-03-01T00:00:00Z",
    )
    other = service("other", "west", namespace="data", ports="[{port: 8000, name: http-web}]")
    exposed = [
        e
        for vd, backing in ((young, select_backing(young, [other], (), lambda k: k.namespace)), (CART, BACKING))
        for e in exposures(vd, backing, "west", "cluster.local", Mode.AUTO, lambda key: READY)
    ]
    (chain,) = east_west_chains(exposed)
    assert chain.cluster_name == "outbound|8000||cart.shop.svc.cluster.local"
    gateways, _ = selected({"ew": found("203.0.113.7")})
    resolved, offered = outcome({"west": gateways}, {"west": READY}, holds=False)
    assert offered["west"] == []
    assert {p.severity for p in resolved.problems} == {Severity.WARNING}
