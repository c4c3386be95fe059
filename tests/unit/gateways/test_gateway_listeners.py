"""Which gateways a VirtualGateway selects, where its listeners listen, and who wins a port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import yaml

from fingerpost.api.internal.discovered_gateway import DiscoveredGatewaySpec, GatewayKind, GatewayPort
from fingerpost.api.networking.virtual_gateway import VirtualGatewaySpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Severity
from mgmt.translate.routing.gateway_plan import (
    Feed,
    GatewayListeners,
    GatewayPlan,
    merge_gateway,
    needed_secrets,
    requires_tls,
)
from mgmt.translate.routing.gateways import GatewayView, Selection, select_gateways
from mgmt.translate.routing.listeners import compile_listeners, port_problems, resolve_listeners

VG = "networking.gloo.solo.io/VirtualGateway"
EDGE = ObjectKey(VG, "east-1", "gw-config", "edge")
OTHER = ObjectKey(VG, "east-1", "gw-config", "other")
SERVICE = ObjectKey("core/Service", "east-1", "ingress-ns", "public-ingress")
PORTS = {80: 8080, 443: 8443, 90: 0}
TLS = "tls: {mode: SIMPLE, secretName: %s}"


def spec(text: str) -> VirtualGatewaySpec:
    return msgspec.convert(yaml.safe_load(text), VirtualGatewaySpec)


def discovered(ports: Mapping[int, int] = PORTS, **fields: Any) -> DiscoveredGatewaySpec:
    listed = tuple(GatewayPort(number=n, name=f"p{n}", target=t) for n, t in ports.items())
    return DiscoveredGatewaySpec(ports=listed, **fields)


def gateway(
    name: str, workspace: str | None = "gateways", cluster: str = "east-1", kind: GatewayKind = GatewayKind.ENVOY
) -> GatewayView:
    of = discovered(
        workload_labels={"app": "public", "istio": "ingressgateway"},
        service_labels={"only-on": "the-service"},
        gateway_kind=kind,
    )
    return GatewayView(ObjectKey("core/Service", cluster, "ingress-ns", name), of, workspace)


def select(text: str, *candidates: GatewayView) -> Selection:
    return select_gateways(EDGE, spec(text), "gateways", candidates)


def plan_of(*virtual_gateways: tuple[ObjectKey, str], ports: Mapping[int, int] = PORTS) -> tuple[
    GatewayPlan, tuple[Problem, ...]
]:  # fmt: skip
    placed, problems = [], ()
    for key, listeners in virtual_gateways:
        plans, found = compile_listeners(key, spec(f"listeners: [{listeners}]"))
        resolved, misses = resolve_listeners(plans, SERVICE, discovered(ports))
        problems += found + port_problems(key, plans, [misses], implicit=False)
        placed.append(GatewayListeners(key, resolved))
    plan, conflicts = merge_gateway(placed)
    return plan, problems + conflicts


def said(problems: tuple[Problem, ...]) -> list[tuple[Severity, str]]:
    return [(p.severity, p.message) for p in problems]


@pytest.mark.spec("R-7")
def test_labels_are_those_of_the_services_selector() -> None:
    one = gateway("a")
    assert select("workloads: [{selector: {labels: {istio: ingressgateway}}}]", one).selected == (one,)
    assert select("workloads: [{selector: {labels: {only-on: the-service}}}]", one).selected == ()
    assert select("workloads: [{selector: {labels: {app: public, x: y}}}]", one).selected == ()


@pytest.mark.spec("R-8")
def test_absent_empty_and_missing_selectors() -> None:
    both = (gateway("a"), gateway("b"))
    assert select("{}", *both).selected == both
    assert select("workloads: [{selector: {}}]", *both).selected == both
    nothing = select("workloads: [{}]", *both)
    assert nothing.selected == ()
    assert (Severity.WARNING, "no gateway workloads selected") in said(nothing.problems)
    assert all(p.severity is Severity.WARNING for p in nothing.problems)
    assert not select("{}", *both).problems


@pytest.mark.spec("R-9", "W-47")
def test_gateways_of_other_workspaces_are_never_selected() -> None:
    mine, theirs, nobodys = gateway("a"), gateway("b", "shop"), gateway("c", None)
    for text in ("{}", "workloads: [{selector: {}}]", "workloads: [{selector: {name: b, workspace: shop}}]"):
        assert select(text, mine, theirs, nobodys).selected in ((), (mine,))
    assert select_gateways(EDGE, spec("{}"), None, [nobodys]).selected == ()


@pytest.mark.spec("R-10")
def test_clusters_are_narrowed_only_by_the_selector_and_the_order_of_candidates_does_not_show() -> None:
    east, west = gateway("a"), gateway("a", cluster="west-1")
    assert select("{}", west, east).selected == select("{}", east, west).selected == (east, west)
    assert select("workloads: [{selector: {cluster: west-1}}]", east, west).selected == (west,)


def test_virtual_machines_are_reported() -> None:
    assert "VM" in select("workloads: [{kind: VM, selector: {}}]", gateway("a")).problems[0].message


def test_a_gateway_is_selected_whatever_its_data_plane() -> None:
    found = select("{}", gateway("a", kind=GatewayKind.ISTIO), gateway("b"))
    assert not found.problems
    assert [[g.key.name for g in found.of(kind)] for kind in (GatewayKind.ISTIO, GatewayKind.ENVOY)] == [["a"], ["b"]]


@pytest.mark.spec("R-11")
def test_the_listening_port_is_the_target_port() -> None:
    plan, problems = plan_of(
        (EDGE, "{http: {}, port: {number: 80}}, {http: {}, port: {name: p81}}"), ports={80: 8080, 81: 81}
    )
    assert not problems
    assert [(p.port, p.chains[0].route_config) for p in plan.ports] == [(81, "http.81"), (8080, "http.8080")]
    assert [c.feeds for c in plan.route_configs] == [(Feed(EDGE, 1, 81),), (Feed(EDGE, 0, 80),)]


@pytest.mark.spec("R-12")
def test_a_target_port_is_no_port_of_the_service() -> None:
    plan, problems = plan_of((EDGE, "{http: {}, port: {number: 8080}}"))
    assert plan == GatewayPlan()
    text = "listener 0: port 8080 is not a port of gateway service ingress-ns/public-ingress"
    assert said(problems) == [(Severity.INVALID, text)]


@pytest.mark.spec("R-13")
def test_a_named_target_port_skips_only_its_listener() -> None:
    plan, problems = plan_of((EDGE, "{http: {}, port: {number: 90}}, {http: {}, port: {number: 80}}"))
    assert [p.port for p in plan.ports] == [8080]
    ((severity, text),) = said(problems)
    assert severity is Severity.INVALID
    assert text.startswith("listener 0: port 90 of gateway service ingress-ns/public-ingress has no numeric targetPort")


@pytest.mark.spec("R-12", "R-14")
def test_gateways_with_different_ports() -> None:
    plans, _ = compile_listeners(EDGE, spec("listeners: [{http: {}, port: {number: 80}}]"))
    east, none = resolve_listeners(plans, SERVICE, discovered({80: 8080}))
    west, _ = resolve_listeners(plans, SERVICE, discovered({80: 9080}))
    assert (east[0].listening_port, west[0].listening_port) == (8080, 9080)
    _, missing = resolve_listeners(plans, SERVICE, discovered({81: 81}))
    assert [p.severity for p in port_problems(EDGE, plans, [missing, none], implicit=False)] == [Severity.WARNING]
    assert [p.severity for p in port_problems(EDGE, plans, [missing, missing], implicit=False)] == [Severity.INVALID]
    assert port_problems(EDGE, plans, [missing, none], implicit=True) == ()
    assert [p.severity for p in port_problems(EDGE, plans, [missing], implicit=True)] == [Severity.INVALID]
    assert port_problems(EDGE, plans, [], implicit=True) == ()


A = f"{{http: {{}}, port: {{number: 443}}, {TLS % 'a'}, allowedRouteTables: [{{host: a.example}}]}}"
B = f"{{http: {{}}, port: {{number: 443}}, {TLS % 'b'}, allowedRouteTables: [{{host: b.example}}]}}"


@pytest.mark.spec("R-15")
def test_two_names_on_one_port_have_a_chain_each() -> None:
    plan, problems = plan_of((EDGE, f"{A}, {B}"))
    assert not problems
    (port,) = plan.ports
    assert [(c.server_names, c.tls and c.tls.secret_name) for c in port.chains] == [
        (("a.example",), "a"),
        (("b.example",), "b"),
    ]
    assert [(c.name, c.feeds) for c in plan.route_configs] == [
        ("https.8443.https-8443-a-example.edge.gw-config", (Feed(EDGE, 0, 443),)),
        ("https.8443.https-8443-b-example.edge.gw-config", (Feed(EDGE, 1, 443),)),
    ]
    assert needed_secrets(plan) == {"a", "b"}


@pytest.mark.spec("R-16")
def test_the_first_of_two_listeners_for_one_host_stays() -> None:
    plan, problems = plan_of((EDGE, f"{A}, {A.replace('secretName: a', 'secretName: late')}"))
    assert needed_secrets(plan) == {"a"}
    ((severity, text),) = said(problems)
    assert severity is Severity.INVALID
    assert text.startswith("listener 1: conflicts with listener 0 on port 443")


@pytest.mark.spec("R-17")
@pytest.mark.parametrize(
    ("second", "named"),
    [("tls: {mode: SIMPLE, secretName: s}", ("HTTP", "HTTPS")), ("appProtocol: grpc", ("HTTP", "GRPC"))],
)
def test_two_protocols_on_one_port(second: str, named: tuple[str, str]) -> None:
    plan, problems = plan_of(
        (EDGE, f"{{http: {{}}, port: {{number: 80}}}}, {{http: {{}}, port: {{number: 80}}, {second}}}")
    )
    assert [c.tls for p in plan.ports for c in p.chains] == [None]
    ((severity, text),) = said(problems)
    assert severity is Severity.INVALID
    assert text.endswith(f"conflicts with listener 0 on port 80: {named[1]} here, {named[0]} there")


def test_the_older_virtual_gateway_wins_a_port() -> None:
    plan, problems = plan_of((EDGE, A), (OTHER, f"{B}, {A}"))
    assert [c.gateway for c in plan.ports[0].chains] == [EDGE, OTHER]
    ((_, text),) = said(problems)
    assert text.startswith("listener 1: conflicts with listener 0 of VirtualGateway gw-config/edge on port 443")
    assert problems[0].ref == OTHER
    plan, problems = plan_of((OTHER, f"{B}, {A}"), (EDGE, A))
    assert [c.gateway for c in plan.ports[0].chains] == [OTHER, OTHER]
    assert [p.ref for p in problems] == [EDGE]


def test_a_name_has_one_chain_even_where_first_hosts_differ() -> None:
    both = A.replace("[{host: a.example}]", "[{host: c.example}, {host: a.example}]")
    plan, problems = plan_of((EDGE, A), (OTHER, both))
    assert [c.server_names for c in plan.ports[0].chains] == [("a.example",), ("c.example",)]
    assert [p.severity for p in problems] == [Severity.WARNING]
    anything = A.replace("[{host: a.example}]", "[{host: d.example}, {host: '*'}]")
    plan, problems = plan_of((EDGE, anything), (OTHER, A.replace("a.example", "'*'")))
    assert [c.server_names for c in plan.ports[0].chains] == [()]
    assert [p.severity for p in problems] == [Severity.INVALID]
    plan, problems = plan_of((EDGE, A.replace("a.example", "'*-x.a.example'")))
    assert plan.ports[0].chains[0].server_names == ("*.a.example",)


def test_route_configurations_have_names_of_their_own() -> None:
    twin = EDGE._replace(cluster="west-1")
    plan, _ = plan_of((EDGE, f"{A}, {A.replace('a.example', 'a-example.io').replace('a-example.io', 'a.example.io')}"))
    assert len({c.name for c in plan.route_configs}) == 2
    dashed = A.replace("a.example", "a-x.io"), A.replace("a.example", "a.x.io")
    plan, problems = plan_of((EDGE, ", ".join(dashed)))
    assert not problems
    assert [c.name for c in plan.route_configs] == [
        "https.8443.https-8443-a-x-io.edge.gw-config",
        "https.8443.https-8443-a-x-io-1.edge.gw-config",
    ]
    plan, problems = plan_of((EDGE, A.replace("a.example", "a-x.io")), (twin, A.replace("a.example", "a.x.io")))
    assert not problems
    assert len({c.name for c in plan.route_configs}) == 2


@pytest.mark.spec("R-22")
def test_an_http_listener_cannot_pass_tls_through() -> None:
    plan, problems = plan_of((EDGE, "{http: {}, port: {number: 443}, tls: {secretName: a}}"))
    assert plan == GatewayPlan()
    text = "listener 0: http listeners need tls.mode SIMPLE, MUTUAL or ISTIO_MUTUAL (mode is PASSTHROUGH)"
    assert said(problems) == [(Severity.INVALID, text)]


@pytest.mark.parametrize(
    ("listener", "severity", "word"),
    [
        ("{tcp: {}, port: {number: 80}}", Severity.WARNING, "not implemented in this version"),
        ("{port: {number: 80}}", Severity.WARNING, "not implemented in this version"),
        ("{http: {}, port: {number: 80}, tls: {mode: ISTIO_MUTUAL}}", Severity.INVALID, "ISTIO_MUTUAL"),
        ("{http: {}, port: {}}", Severity.INVALID, "Either port.number or port.name must be set."),
        ("{http: {}, port: {number: 80}, appProtocol: MONGO}", Severity.INVALID, "MONGO"),
        ("{http: {}, port: {number: 80}, allowedRouteTables: [{host: 'foo.*'}]}", Severity.INVALID, "foo.*"),
    ],
)
def test_listeners_that_cannot_work_are_left_out(listener: str, severity: Severity, word: str) -> None:
    plan, problems = plan_of((EDGE, listener))
    assert plan == GatewayPlan()
    assert [p.severity for p in problems] == [severity]
    assert word in problems[0].message


@pytest.mark.parametrize(
    ("tls", "works"),
    [
        ("{mode: SIMPLE}", False),
        ("{mode: SIMPLE, files: {serverCert: c}}", False),
        ("{mode: SIMPLE, files: {serverCert: c, privateKey: k}}", True),
        ("{mode: MUTUAL, files: {serverCert: c, privateKey: k}}", False),
        ("{mode: MUTUAL, files: {serverCert: c, privateKey: k, caCerts: a}}", True),
        ("{mode: MUTUAL, secretName: s}", True),
        ("{mode: SIMPLE, secretName: s}, httpsRedirect: true", False),
        ("{mode: SIMPLE, secretName: s, parameters: {maximumProtocolVersion: TLSv1_1}}", False),
        ("{mode: SIMPLE, secretName: s, parameters: {minimumProtocolVersion: TLSv1_0}}", False),
    ],
)
def test_what_a_tls_block_needs(tls: str, works: bool) -> None:
    plan, problems = plan_of((EDGE, f"{{http: {{}}, port: {{number: 443}}, tls: {tls}}}"))
    assert bool(plan.ports) is works
    assert [p.severity for p in problems] == ([] if works else [Severity.INVALID])


@pytest.mark.spec("R-24")
def test_unknown_ciphers_are_dropped() -> None:
    def suites(version: str, names: str) -> tuple[tuple[str, ...] | None, list[Severity]]:
        parameters = f"{{minimumProtocolVersion: {version}, cipherSuites: [{names}]}}"
        text = f"{{http: {{}}, port: {{number: 443}}, tls: {{mode: SIMPLE, secretName: s, parameters: {parameters}}}}}"
        plan, problems = plan_of((EDGE, text))
        tls = plan.ports[0].chains[0].tls if plan.ports else None
        return tls and tls.cipher_suites, [p.severity for p in problems]

    assert suites("TLSv1_0", "AES128-SHA, NO-SUCH, AES128-SHA") == (("AES128-SHA",), [Severity.WARNING])
    assert suites("TLS_AUTO", "NO-SUCH") == ((), [Severity.WARNING])
    assert suites("TLSv1_1", "NO-SUCH") == (None, [Severity.WARNING, Severity.INVALID])
    assert suites("TLSv1_3", "NO-SUCH") == ((), [])


@pytest.mark.spec("R-33", "R-35")
def test_a_redirect_covers_the_hosts_of_its_listener() -> None:
    redirect = "{http: {}, port: {number: 80}, httpsRedirect: %s, allowedRouteTables: [{host: '*.shop.example'}]}"
    on, _ = plan_of((EDGE, redirect % "true"))
    off, _ = plan_of((EDGE, redirect % "false"))
    absent, _ = plan_of((EDGE, (redirect % "false").replace("httpsRedirect: false, ", "")))
    assert on.route_configs[0].redirect_hosts == ("*.shop.example",)
    assert off == absent != on
    covered = [h for h in ("www.shop.example", "*.shop.example", "shop.example") if requires_tls(h, ["*.shop.example"])]
    assert covered == ["www.shop.example", "*.shop.example"]
    assert requires_tls("any", ["*"])
    assert not requires_tls("any", [])


@pytest.mark.spec("R-1")
def test_like_gateways_share_one_plan() -> None:
    plan, _ = plan_of((EDGE, f"{A}, {B}, {{http: {{}}, port: {{number: 80}}}}"))
    again, _ = plan_of((EDGE, f"{A}, {B}, {{http: {{}}, port: {{number: 80}}}}"))
    assert plan == again
    assert hash(plan) == hash(again)
    assert "ingress" not in repr(plan), "the plan does not name the gateway Service"
