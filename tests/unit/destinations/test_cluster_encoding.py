"""Clusters as Envoy gets them, and that a real Envoy takes all of them."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from destination_cases import endpoint, external, service, settings, virtual
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import json_format
from msgspec.structs import replace

from fingerpost.api.base import Duration
from fingerpost.relay.pieces import Role, join
from mgmt.translate.emit.envoy.cluster import build_cluster, encode_cluster
from mgmt.translate.ir import (
    ClientTls,
    Destination,
    DestinationSettings,
    MeshTls,
    OutlierDetection,
    Upstream,
)
from mgmt.translate.routing.destination_upstreams import service_upstream
from mgmt.translate.routing.external_services import external_upstream, resolve_external

_SPEC = find_spec("envoy")
ENVOY = str(Path(((_SPEC and _SPEC.submodule_search_locations) or [""])[0]) / "_bin" / "envoy")
IDENTITIES = ("spiffe://east/ns/shop/sa/cart", "spiffe://west/ns/gw/sa/ew")
CART = virtual("{hosts: [cart.example], services: [{}], ports: [{number: 80, protocol: GRPC}]}")
VIRTUAL = Upstream(
    destination=Destination(object=CART.key, host="cart.example", port=80),
    http2=True,
    mesh=MeshTls(sni="outbound_.80_._.cart.example", identities=IDENTITIES),
    tls=(("external/east/shop/legacy/443", ClientTls(sni="legacy.corp", subject_alt_names=("legacy.corp",))),),
    settings=DestinationSettings(outlier_detection=OutlierDetection(gateway_errors=3)),
)


def of_service(ports: str, more: str = "") -> Upstream:
    view = service(ports=ports, more=more)
    host = view.host("cluster.local")
    return service_upstream(view, Destination(object=view.key, host=host, port=view.ports[0].number)).upstream


def encoded(upstream: Upstream) -> cluster_pb2.Cluster:
    pieces = encode_cluster(upstream)
    assert [(p.role, p.contribution) for p in pieces] == [(Role.TOP, "/".join(upstream.destination.object))]
    return cluster_pb2.Cluster.FromString(join(pieces))


@pytest.mark.spec("D-19")
def test_cluster_of_a_service() -> None:
    cluster = encoded(of_service("[{port: 80, name: http}]"))
    assert cluster.name == cluster.eds_cluster_config.service_name == "outbound|80||cart.shop.svc.cluster.local"
    assert (cluster.type, cluster.lb_policy) == (cluster.EDS, cluster.LEAST_REQUEST)
    assert cluster.eds_cluster_config.eds_config.HasField("ads")
    assert cluster.connect_timeout.seconds == 10
    (limits,) = cluster.circuit_breakers.thresholds
    assert limits.max_pending_requests.value == limits.max_retries.value == 2**32 - 1
    assert not cluster.HasField("transport_socket")
    assert not cluster.transport_socket_matches
    assert not cluster.HasField("outlier_detection")


@pytest.mark.parametrize(
    ("port", "http2"),
    [
        ("name: http", False),
        ("name: http2-web", True),
        ("name: grpc", True),
        ("name: web, appProtocol: kubernetes.io/h2c", True),
        ("name: web, appProtocol: grpc", True),
        ("name: web, appProtocol: http", False),
    ],
)
def test_http2_by_port(port: str, http2: bool) -> None:
    cluster = encoded(of_service(f"[{{port: 80, {port}}}]"))
    options = http_protocol_options_pb2.HttpProtocolOptions()
    for packed in cluster.typed_extension_protocol_options.values():
        packed.Unpack(options)
    assert options.explicit_http_config.HasField("http2_protocol_options") is http2


def test_external_name_is_looked_up() -> None:
    cluster = encoded(of_service("[{port: 80, name: http}]", ", type: ExternalName, externalName: a.corp"))
    assert cluster.type == cluster.STRICT_DNS
    assert cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address == "a.corp"


def test_cluster_of_a_virtual_destination() -> None:
    cluster = encoded(VIRTUAL)
    assert [(m.name, dict(m.match)) for m in cluster.transport_socket_matches] == [
        ("tlsMode-istio", {"tlsMode": "istio"}),
        ("tlsMode-external/east/shop/legacy/443", {"tlsMode": "external/east/shop/legacy/443"}),
        ("tlsMode-disabled", {}),
    ]
    context = tls_pb2.UpstreamTlsContext()
    assert cluster.transport_socket_matches[0].transport_socket.typed_config.Unpack(context)
    common = context.common_tls_context
    assert context.sni == "outbound_.80_._.cart.example"
    assert list(common.alpn_protocols) == ["istio-peer-exchange", "istio"]
    assert [s.name for s in common.tls_certificate_sds_secret_configs] == ["default"]
    trust = common.combined_validation_context
    assert trust.validation_context_sds_secret_config.name == "ROOTCA"
    names = trust.default_validation_context.match_typed_subject_alt_names
    assert tuple(n.matcher.exact for n in names) == IDENTITIES
    assert cluster.common_lb_config.HasField("healthy_panic_threshold")
    assert cluster.common_lb_config.healthy_panic_threshold.value == 0


def test_with_no_identity_known_nobody_is_trusted() -> None:
    upstream = Upstream(destination=VIRTUAL.destination, mesh=MeshTls(sni="s", identities=()))
    context = tls_pb2.UpstreamTlsContext()
    assert encoded(upstream).transport_socket_matches[0].transport_socket.typed_config.Unpack(context)
    trust = context.common_tls_context.combined_validation_context.default_validation_context
    assert [n.matcher.exact for n in trust.match_typed_subject_alt_names] == ["spiffe://nobody.invalid/"]


@pytest.mark.spec("P-99", "P-100")
@pytest.mark.parametrize(("percent", "emitted"), [(100, True), (None, False)])
def test_outlier_detection(percent: int | None, emitted: bool) -> None:
    settings = DestinationSettings(outlier_detection=OutlierDetection(max_ejection_percent=percent))
    cluster = encoded(Upstream(destination=VIRTUAL.destination, settings=settings))
    found = cluster.outlier_detection
    assert (found.consecutive_5xx.value, found.enforcing_consecutive_5xx.value) == (5, 100)
    assert (found.interval.seconds, found.base_ejection_time.seconds) == (10, 30)
    assert found.HasField("max_ejection_percent") is emitted
    assert found.HasField("enforcing_success_rate")
    assert found.enforcing_success_rate.value == 0
    assert not found.HasField("consecutive_gateway_failure")
    assert cluster.common_lb_config.healthy_panic_threshold.value == 0


def all_shapes(files: Path) -> list[cluster_pb2.Cluster]:
    certificate, key, roots = (str(files / name) for name in ("cert.pem", "key.pem", "ca.pem"))
    views = {
        "a": "{hosts: [a.corp], ports: [{number: 80, protocol: HTTP}]}",
        "b": "{hosts: [b.corp], selector: {host: b}, ports: [{number: 80, protocol: HTTP}]}",
        "c": "{addresses: [192.0.2.1, '2001:db8::1'], ports: [{number: 80, protocol: TCP}]}",
        "d": f"{{hosts: [d.corp, e.corp], ports: [{{number: 443, protocol: HTTPS, "
        f"clientsideTls: {{caCertificates: {roots}}}}}]}}",
        "f": f"{{hosts: [f.corp], subjectAltNames: [f.corp, 'spiffe://x/y'], ports: [{{number: 443, protocol: GRPC, "
        f"clientsideTls: {{mode: MUTUAL, clientCertificate: {certificate}, privateKey: {key}, "
        f"caCertificates: {roots}}}}}]}}",
        "g": "{hosts: [g.corp], ports: [{number: 443, protocol: HTTPS, clientsideTls: {insecureSkipVerify: true}}]}",
        "h": "{hosts: [h.corp], ports: [{number: 443, protocol: HTTPS, clientsideTls: {mode: ISTIO_MUTUAL}}]}",
        "i": "{hosts: [i.corp], ports: [{number: 443, protocol: HTTPS, "
        f"clientsideTls: {{mode: MUTUAL, credentialName: c, caCertificates: {roots}}}}}]}}",
        "j": "{hosts: ['*.corp'], ports: [{number: 80, protocol: HTTP}]}",
    }
    endpoints = [
        endpoint("{address: 'unix:///tmp/b.sock', ports: [{number: 80}]}", "b1", {"host": "b"}),
        endpoint("{address: 192.0.2.9, ports: [{number: 80}], locality: {region: r, zone: z}}", "b2", {"host": "b"}),
    ]
    found = [of_service("[{port: 80, name: http}]"), of_service("[{port: 81, name: grpc}]"), VIRTUAL]
    found.append(of_service("[{port: 82, name: http}]", ", type: ExternalName, externalName: a.corp"))
    for name, text in views.items():
        view = external(text, name)
        destination = Destination(object=view.key, host=view.host, port=view.spec.ports[0].number)
        upstream = external_upstream(destination, resolve_external(view, endpoints), VIRTUAL.settings)
        assert upstream is not None
        found.append(upstream)
    longest = Duration.parse("359999999.999s") // timedelta(milliseconds=1)
    slow = OutlierDetection(interval_ms=longest, base_ejection_ms=longest)
    found.append(replace(of_service("[{port: 83, name: http}]"), settings=DestinationSettings(outlier_detection=slow)))
    return [build_cluster(upstream) for upstream in found]


@pytest.mark.envoy
@pytest.mark.spec("D-65")
def test_a_real_envoy_takes_every_shape(tmp_path: Path, certificate_files: Path) -> None:
    bootstrap = bootstrap_pb2.Bootstrap()
    bootstrap.node.id, bootstrap.node.cluster = "n", "c"
    bootstrap.dynamic_resources.ads_config.api_type = bootstrap.dynamic_resources.ads_config.GRPC
    bootstrap.dynamic_resources.ads_config.transport_api_version = 2
    service_ = bootstrap.dynamic_resources.ads_config.grpc_services.add()
    service_.envoy_grpc.cluster_name = "xds"
    clusters = all_shapes(certificate_files)
    for cluster in clusters:
        for socket in (cluster.transport_socket, *(m.transport_socket for m in cluster.transport_socket_matches)):
            context = tls_pb2.UpstreamTlsContext()
            # The system's roots may not lie there on the machine that runs the test.
            if socket.typed_config.Unpack(context):
                trusted = context.common_tls_context.validation_context.trusted_ca
                if trusted.filename.startswith("/etc/"):
                    trusted.filename = str(certificate_files / "ca.pem")
                    socket.typed_config.Pack(context)
    xds = cluster_pb2.Cluster(name="xds", type=cluster_pb2.Cluster.STATIC)
    xds.connect_timeout.seconds = 1
    xds.load_assignment.cluster_name = "xds"
    address = xds.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    address.address, address.port_value = "127.0.0.1", 1
    bootstrap.static_resources.clusters.extend([xds, *clusters])
    path = tmp_path / "envoy.json"
    path.write_text(json_format.MessageToJson(bootstrap))
    done = subprocess.run(
        [ENVOY, "--mode", "validate", "--use-dynamic-base-id", "--concurrency", "1", "-c", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("without", "with_it"), [pytest.param(a, b, id=name) for name, a, b in settings()])
def test_whatever_a_policy_settles_is_written(without: DestinationSettings, with_it: DestinationSettings) -> None:
    bare = of_service("[{port: 80, name: http}]")
    assert encode_cluster(replace(bare, settings=without)) != encode_cluster(replace(bare, settings=with_it))
