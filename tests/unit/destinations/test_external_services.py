"""Addresses and TLS of ExternalServices."""

from __future__ import annotations

import pytest
from destination_cases import endpoint, external

from fingerpost.problems import Severity
from mgmt.translate.emit.envoy.cluster import build_cluster
from mgmt.translate.ir import Destination, DestinationSettings, Upstream
from mgmt.translate.routing.destination_views import ExternalServiceView
from mgmt.translate.routing.external_services import (
    ExternalEndpointView,
    external_upstream,
    outside_fleet,
    resolve_external,
)

LEGACY = (
    "{hosts: [legacy.corp], selector: {host: legacy}, ports: [{name: http, number: 80, protocol: HTTP, "
    "targetPort: {name: web}, clientsideTls: {mode: SIMPLE}}]}"
)
ONE = endpoint("{address: 192.0.2.10, ports: [{name: web, number: 9443}]}", "legacy-1", {"host": "legacy"})


def upstream(view: ExternalServiceView, *endpoints: ExternalEndpointView) -> Upstream:
    destination = Destination(object=view.key, host=view.host, port=view.spec.ports[0].number)
    found = external_upstream(destination, resolve_external(view, endpoints), DestinationSettings())
    assert found is not None
    return found


def tls_context(up: Upstream) -> object:
    from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

    context = tls_pb2.UpstreamTlsContext()
    assert build_cluster(up).transport_socket.typed_config.Unpack(context)
    return context


@pytest.mark.spec("D-65")
def test_selected_endpoint_over_tls() -> None:
    cluster = build_cluster(upstream(external(LEGACY), ONE))
    assert cluster.name == "outbound|80||legacy.corp"
    assert cluster.type == cluster.STATIC
    (group,) = cluster.load_assignment.endpoints
    (member,) = group.lb_endpoints
    socket = member.endpoint.address.socket_address
    assert (socket.address, socket.port_value) == ("192.0.2.10", 9443)
    context = tls_context(upstream(external(LEGACY), ONE))
    assert context.sni == "legacy.corp"  # type: ignore[attr-defined]
    validation = context.common_tls_context.validation_context  # type: ignore[attr-defined]
    assert validation.trusted_ca.filename
    assert [m.matcher.exact for m in validation.match_typed_subject_alt_names] == ["legacy.corp"]


@pytest.mark.spec("D-72")
def test_without_endpoints_the_host_is_dialled_by_name() -> None:
    view = external("{hosts: [legacy.corp], selector: {host: legacy}, ports: [{number: 80, protocol: HTTP}]}")
    before = build_cluster(
        upstream(view, endpoint("{address: 192.0.2.1, ports: [{number: 80}]}", "e", {"host": "legacy"}))
    )
    after = build_cluster(upstream(view))
    assert (before.type, after.type) == (before.STATIC, after.STRICT_DNS)
    assert after.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address == "legacy.corp"


@pytest.mark.spec("D-67")
def test_named_target_port_needs_endpoints() -> None:
    backing = resolve_external(external(LEGACY), ())
    assert [p.severity for p in backing.problems] == [Severity.INVALID]
    assert backing.ports == ()


@pytest.mark.spec("D-68")
@pytest.mark.parametrize("selector", ["", ", selector: {}"])
def test_no_selector_selects_no_endpoint(selector: str) -> None:
    view = external(f"{{hosts: [a.corp]{selector}, ports: [{{number: 80, protocol: HTTP}}]}}")
    assert resolve_external(view, [ONE]).endpoints == 0


@pytest.mark.spec("D-69")
def test_https_is_tls_and_only_a_single_host_is_its_sni() -> None:
    one = upstream(external("{hosts: [a.corp], ports: [{number: 443, protocol: HTTPS, clientsideTls: {}}]}"))
    two = upstream(external("{hosts: [a.corp, b.corp], ports: [{number: 443, protocol: HTTPS}]}"))
    assert one.tls[0][1].sni == "a.corp"
    assert (two.tls[0][1].sni, two.tls[0][1].host_sni) == ("", True)
    assert tls_context(two).auto_sni_san_validation  # type: ignore[attr-defined]
    off = "{hosts: [a.corp], ports: [{number: 443, protocol: TLS, clientsideTls: {mode: DISABLE}}]}"
    assert upstream(external(off)).tls == ()


@pytest.mark.spec("D-70")
def test_mutual_tls_by_secret() -> None:
    view = external(
        "{hosts: [a.corp], ports: [{number: 443, protocol: HTTPS, clientsideTls: {mode: MUTUAL, credentialName: c}}]}"
    )
    common = tls_context(upstream(view)).common_tls_context  # type: ignore[attr-defined]
    assert [s.name for s in common.tls_certificate_sds_secret_configs] == ["kubernetes://c"]


def test_endpoint_without_the_port_is_left_out_and_named() -> None:
    lacking = endpoint("{address: 192.0.2.11, ports: [{name: other, number: 1}]}", "legacy-2", {"host": "legacy"})
    backing = resolve_external(external(LEGACY), [lacking, ONE])
    port = backing.port(80)
    assert port is not None
    assert [a.host for a in port.addresses] == ["192.0.2.10"]
    (problem,) = backing.problems
    assert problem.severity is Severity.WARNING
    assert "shop/legacy-2" in problem.message


@pytest.mark.parametrize("names", ["hosts: ['*.corp']", "addresses: [192.0.2.0/24]"], ids=["wildcard", "range"])
def test_what_a_gateway_cannot_dial_has_no_addresses(names: str) -> None:
    backing = resolve_external(external(f"{{{names}, ports: [{{number: 80, protocol: HTTP}}]}}"), ())
    assert [p.severity for p in backing.problems] == [Severity.WARNING]
    assert backing.ports[0].addresses == ()


@pytest.mark.spec("P-104")
def test_what_lies_outside() -> None:
    view = external("{addresses: [10.1.2.3, 8.8.8.8], ports: [{number: 80, protocol: HTTP}]}")
    assert outside_fleet(resolve_external(view, ()), ["cluster.local"]) == ("8.8.8.8",)
    inside = external("{hosts: [a.b.svc.cluster.local], ports: [{number: 80, protocol: HTTP}]}")
    assert outside_fleet(resolve_external(inside, ()), ["cluster.local"]) == ()
