"""Checks of the other kinds: destinations, workspaces, clusters and the outlier detection policy."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from fingerpost.api.decode import decode
from fingerpost.api.kinds import KINDS, find
from fingerpost.objects import ObjectKey
from fingerpost.problems import Severity
from mgmt.translate.check import _CHECKS, check_object
from mgmt.translate.check.regex import regex_problem

Findings = list[tuple[Severity, str, str]]


def findings(word: str, spec: dict[str, Any], name: str = "web") -> Findings:
    kind = find(word)
    key = ObjectKey(kind.type, "east", "shop", name)
    body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}
    obj, problems = decode(key, json.dumps(body).encode())
    assert problems == ()
    found = check_object(key, obj)
    assert {p.ref for p in found} <= {key}
    return [(p.severity, p.path, p.message) for p in found]


def refused_paths(word: str, spec: dict[str, Any]) -> list[str]:
    found = findings(word, spec)
    assert {severity for severity, _, _ in found} <= {Severity.INVALID}
    return [path for _, path, _ in found]


def test_every_kind_that_users_write_is_checked() -> None:
    assert set(_CHECKS) == {kind.type for kind in KINDS if kind.model is not None and kind.written_by_users}


def vd(**spec: Any) -> dict[str, Any]:
    return {"hosts": ["cart.example"], "services": [{}], "ports": [{"number": 80, "protocol": "HTTP"}], **spec}


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        (vd(), []),
        (vd(hosts=[]), []),
        (vd(services=[]), []),
        (vd(hosts=["*.x.com"]), ["spec.hosts[0]"]),
        (vd(hosts=["1.2.3"]), ["spec.hosts[0]"]),
        (vd(hosts=["a.b.", "A.B."]), ["spec.hosts[1]"]),
        (vd(ports=[]), ["spec.ports"]),
        (
            vd(services=[], ports=[{"number": 80, "protocol": "HTTP", "targetPort": {"number": 8080}}]),
            ["spec.ports[0].targetPort"],
        ),
        (vd(hosts=[], services=[]), ["spec"]),
        (vd(hosts=[], services=[], externalServices=[{}]), []),
        (vd(hosts=[], services=[], externalWorkloads=[{}]), []),
        (vd(ports=[{"number": 80, "protocol": "HTTP"}] * 2), ["spec.ports[1].number"]),
        (vd(ports=[{"protocol": "HTTP"}]), ["spec.ports[0].number"]),
        (vd(ports=[{"number": 65536, "protocol": "HTTP"}]), ["spec.ports[0].number"]),
        (vd(clientMode={"auto": {}, "sniRouting": {}}), ["spec.clientMode"]),
    ],
)
def test_virtual_destinations(spec: dict[str, Any], paths: list[str]) -> None:
    assert refused_paths("vd", spec) == paths


@pytest.mark.parametrize("protocol", ["HTTP", "http", "gRPC", "GRPC", "grpc", "MONGO", "tls"])
def test_a_protocol_is_written_in_either_case(protocol: str) -> None:
    assert refused_paths("vd", vd(ports=[{"number": 80, "protocol": protocol}])) == []


@pytest.mark.parametrize("protocol", ["ftp", "", "Http", "UDP"])
def test_other_protocols_are_refused(protocol: str) -> None:
    ((severity, path, message),) = findings("vd", vd(ports=[{"number": 80, "protocol": protocol}]))
    assert (severity, path) == (Severity.INVALID, "spec.ports[0].protocol")
    assert protocol in message
    assert message.endswith("write one of HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP, TLS")


def es(port: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"hosts": ["a.example"], "ports": [{"number": 443, "protocol": "HTTPS", **(port or {})}], **spec}


@pytest.mark.spec("D-66")
@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        (es(), False),
        (es(hosts=[], addresses=["192.0.2.1"]), False),
        (es(addresses=["192.0.2.1"]), True),
        (es(hosts=[]), True),
    ],
)
def test_an_external_service_has_hosts_or_addresses(spec: dict[str, Any], refused: bool) -> None:
    assert refused_paths("es", spec) == (["spec"] if refused else [])


@pytest.mark.spec("D-70")
@pytest.mark.parametrize(
    ("tls", "missing"),
    [
        ({"clientCertificate": "/c", "privateKey": "/k"}, None),
        ({"credentialName": "cert"}, None),
        ({"clientCertificate": "/c"}, "privateKey"),
        ({"privateKey": "/k"}, "clientCertificate"),
        ({}, "clientCertificate and privateKey"),
    ],
)
def test_mutual_tls_needs_certificate_and_key(tls: dict[str, str], missing: str | None) -> None:
    found = findings("es", es({"clientsideTls": {"mode": "MUTUAL", **tls}}))
    if missing is None:
        assert found == []
    else:
        message = f"mode MUTUAL needs {missing}; set both files, or credentialName"
        assert found == [(Severity.INVALID, "spec.ports[0].clientsideTls", message)]


TCP = {"number": 1, "protocol": "TCP", "name": "a"}
EGRESS = {"egressGatewayRoutes": {"virtualGatewayRefs": [{"name": "egress"}]}}


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        (es({"targetPort": {"name": "x"}}), ["spec.ports[0].targetPort"]),
        (es({"targetPort": {"name": "x"}}, selector={"a": "b"}), []),
        (es({"targetPort": {"number": 1}}), []),
        (es(hosts=["*.a.example"]), []),
        (es(hosts=["*a.example", "*", "a.*.b"]), ["spec.hosts[0]", "spec.hosts[1]", "spec.hosts[2]"]),
        (es(hosts=[], addresses=["10.0.0.0/8", "2001:db8::1"]), []),
        (es(hosts=[], addresses=["a.example"]), ["spec.addresses[0]"]),
        (es({"clientsideTls": {"mode": "ISTIO_MUTUAL", "caCertificates": "/ca"}}), ["spec.ports[0].clientsideTls"]),
        (es({"clientsideTls": {}}), []),
        (es({"protocol": "ftp"}), ["spec.ports[0].protocol"]),
        (es(ports=[TCP, {**TCP, "number": 2}]), ["spec.ports[1].name"]),
        (es(EGRESS), []),
        (es({**EGRESS, "protocol": "TCP"}), ["spec.ports[0].egressGatewayRoutes"]),
        (es(EGRESS, hosts=[], addresses=["192.0.2.1"]), ["spec.ports[0].egressGatewayRoutes"]),
        (
            es(ports=[{"number": 80, "protocol": "HTTP", **EGRESS}, {"number": 443, "protocol": "HTTPS", **EGRESS}]),
            ["spec.ports[1].egressGatewayRoutes.portMatch"],
        ),
    ],
)  # fmt: skip
def test_ports_and_names_of_external_services(spec: dict[str, Any], paths: list[str]) -> None:
    assert refused_paths("es", spec) == paths


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        ({"address": "192.0.2.10"}, []),
        ({"address": "2001:db8::1"}, []),
        ({"address": "legacy.corp"}, []),
        ({"address": "unix:///run/a.sock"}, []),
        ({}, ["spec.address"]),
        ({"address": "*.corp"}, ["spec.address"]),
        ({"address": "unix://run/a.sock"}, ["spec.address"]),
        ({"address": "a.corp", "ports": [{"number": 1}]}, []),
        ({"address": "a.corp", "ports": [{"number": 1}, {"number": 2, "name": "b"}]}, ["spec.ports[0].name"]),
        ({"address": "a.corp", "ports": [{"name": "b"}]}, ["spec.ports[0].number"]),
    ],
)
def test_external_endpoints(spec: dict[str, Any], paths: list[str]) -> None:
    assert refused_paths("externalendpoint", spec) == paths


@pytest.mark.spec("W-7")
def test_a_workspace_entry_without_namespaces_is_refused() -> None:
    ((severity, path, message),) = findings("ws", {"workloadClusters": [{"name": "east"}]})
    assert (severity, path) == (Severity.INVALID, "spec.workloadClusters[0].namespaces")
    assert "namespaces" in message


def test_another_useful_entry_keeps_the_workspace() -> None:
    entries = [{"name": "east"}, {"name": "west", "namespaces": [{"name": "web"}]}]
    ((severity, path, _),) = findings("ws", {"workloadClusters": entries})
    assert (severity, path) == (Severity.WARNING, "spec.workloadClusters[0].namespaces")
    assert findings("ws", {}) == []


@pytest.mark.parametrize(
    ("workspaces", "path"),
    [([], ".workspaces"), ([{}], ".workspaces[0]"), ([{"name": "*"}], None), ([{"selector": {"a": "b"}}], None)],
)
@pytest.mark.parametrize("direction", ["importFrom", "exportTo"])
def test_sharing_must_be_stated(direction: str, workspaces: list[dict[str, Any]], path: str | None) -> None:
    """The warning of W-34; that nothing is shared is the sharing's own proof."""
    found = findings("wss", {direction: [{"workspaces": workspaces}]})
    assert [(severity, where) for severity, where, _ in found] == (
        [] if path is None else [(Severity.WARNING, f"spec.{direction}[0]{path}")]
    )
    assert all("nothing is shared" in message for _, _, message in found)


def test_options_of_settings() -> None:
    options = {
        "eastWestGateways": [{"hostInfoOverrides": [{"addr": "", "port": 0}]}],
        "virtualDestClientMode": {"auto": {}, "tlsTermination": {}},
    }
    overrides = "spec.options.eastWestGateways[0].hostInfoOverrides[0]"
    assert refused_paths("wss", {"options": options}) == [
        f"{overrides}.addr",
        f"{overrides}.port",
        "spec.options.virtualDestClientMode",
    ]


@pytest.mark.parametrize("addr", ["192.0.2.1", "2001:db8::1", "lb.example.com", "lb.example.com."])
def test_the_address_of_an_east_west_gateway_is_an_ip_or_a_host_name(addr: str) -> None:
    assert findings("wss", {"options": override(addr)}) == []


@pytest.mark.parametrize(
    "addr", ["lb..example", ".", f"{'x' * 64}.example", "*.example", "192.0.2.300", "a:443", "a b"]
)
def test_what_cannot_be_dialled_is_no_address_of_an_east_west_gateway(addr: str) -> None:
    ((severity, path, message),) = findings("wss", {"options": override(addr)})
    assert (severity, path) == (Severity.INVALID, "spec.options.eastWestGateways[0].hostInfoOverrides[0].addr")
    assert f'"{addr}"' in message
    assert "write the address of the gateway, such as" in message


def override(addr: str) -> dict[str, Any]:
    return {"eastWestGateways": [{"hostInfoOverrides": [{"addr": addr, "port": 443}]}]}


@pytest.mark.spec("P-101")
@pytest.mark.parametrize(
    ("selector", "refused"),
    [
        ({}, True),
        ({"kind": "SERVICE"}, True),
        ({"kind": "VIRTUAL_DESTINATION"}, False),
        ({"kind": "EXTERNAL_SERVICE"}, False),
    ],
)
def test_outlier_detection_never_selects_services(selector: dict[str, Any], refused: bool) -> None:
    paths = ["spec.applyToDestinations[0].kind"] if refused else []
    assert refused_paths("OutlierDetectionPolicy", {"applyToDestinations": [selector]}) == paths


@pytest.mark.parametrize(
    ("config", "fine"),
    [
        ({}, True),
        ({"consecutiveErrors": 1}, True),
        ({"consecutiveErrors": 0}, False),
        ({"consecutiveErrors": 2**31}, False),
        ({"consecutiveGatewayErrors": 0}, True),
        ({"maxEjectionPercent": 100}, True),
        ({"maxEjectionPercent": 101}, False),
        ({"maxEjectionPercent": 0}, True),
        ({"interval": "1ms"}, True),
        ({"interval": "0.5ms"}, False),
        ({"interval": "1.5ms"}, False),
        ({"baseEjectionTime": "0s"}, False),
        ({"baseEjectionTime": "-1s"}, False),
        ({"baseEjectionTime": "1m30s"}, True),
    ],
)
def test_ranges_of_outlier_detection(config: dict[str, Any], fine: bool) -> None:
    (field,) = config or {"": None}
    assert refused_paths("OutlierDetectionPolicy", {"config": config}) == ([] if fine else [f"spec.config.{field}"])


@pytest.mark.parametrize("name", ["prod", "a", "fra-prod-2", "a" * 63])
def test_good_names_of_clusters(name: str) -> None:
    assert findings("kc", {}, name) == []


@pytest.mark.parametrize("name", ["Prod_1", "prod_1", "1prod", "-prod", "prod-", "a.b", "a" * 64])
def test_other_names_of_clusters_are_refused_with_the_rule(name: str) -> None:
    """The words of M-23; that the API server refuses it is for its CRD to prove."""
    ((severity, path, message),) = findings("kc", {}, name)
    assert (severity, path) == (Severity.INVALID, "metadata.name")
    assert f'"{name}"' in message
    assert "lower-case letters, digits and -, beginning with a letter" in message


def test_a_port_by_number_and_name_is_a_warning() -> None:
    both: Callable[[str], dict[str, Any]] = lambda name: {"number": 80, **({"name": name} if name else {})}  # noqa: E731
    for name, severities in (("", []), ("http", [Severity.WARNING])):
        listener = {"http": {}, "port": both(name)}
        assert [severity for severity, _, _ in findings("vg", {"listeners": [listener]})] == severities


def test_kinds_of_kubernetes_have_nothing_to_check() -> None:
    key = ObjectKey("core/Service", "east", "shop", "web")
    obj, _ = decode(key, b'{"metadata":{"name":"web"}}')
    assert check_object(key, obj) == ()


@pytest.mark.parametrize("pattern", ["/v[0-9]+/cart", ".*", "a" * 1024, ""])
def test_patterns_that_a_proxy_takes(pattern: str) -> None:
    assert regex_problem(pattern) is None


@pytest.mark.parametrize("pattern", ["(", "(?=a)", r"(a)\1", "a" * 1025, "é" * 513])
def test_patterns_that_a_proxy_refuses(pattern: str) -> None:
    assert regex_problem(pattern) is not None
