"""Bytes of listeners: what is in them, and to whom each piece belongs."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

from fingerpost.api.networking.virtual_gateway import ProtocolVersion
from fingerpost.objects import ObjectKey
from fingerpost.relay.pieces import Piece, Role, join
from mgmt.translate.emit.envoy.listener import OWNER, encode_eastwest_listener, encode_listener
from mgmt.translate.routing.gateway_plan import ChainPlan, PortPlan
from mgmt.translate.routing.listener_tls import ServerTls

EDGE = ObjectKey("networking.gloo.solo.io/VirtualGateway", "east-1", "gw-config", "edge")
OTHER = EDGE._replace(name="other")
TEXT = "networking.gloo.solo.io/VirtualGateway/east-1/gw-config/edge"


def parse(pieces: tuple[Piece, ...]) -> listener_pb2.Listener:
    assert all(p.role is Role.TOP for p in pieces)
    return listener_pb2.Listener.FromString(join(pieces))


def tls_context(listener: listener_pb2.Listener, chain: int = 0) -> tls_pb2.DownstreamTlsContext:
    return tls_pb2.DownstreamTlsContext.FromString(listener.filter_chains[chain].transport_socket.typed_config.value)


def secure(tls: ServerTls) -> listener_pb2.Listener:
    chain = ChainPlan(route_config="https.8443.x", gateway=EDGE, tls=tls)
    return parse(encode_listener(PortPlan(port=8443, gateways=(EDGE,), chains=(chain,)), {}))


def test_a_plain_port_is_one_shared_chain_that_names_its_owners() -> None:
    plan = PortPlan(port=8080, gateways=(EDGE, OTHER), chains=(ChainPlan(route_config="http.8080"),))
    pieces = encode_listener(plan, {})
    listener = parse(pieces)
    assert [p.contribution for p in pieces] == ["", TEXT, "/".join(OTHER), ""]
    assert (listener.name, listener.address.socket_address.address, listener.address.socket_address.port_value) == (
        "0.0.0.0_8080",
        "0.0.0.0",
        8080,
    )
    assert not listener.listener_filters
    assert sorted(listener.metadata.filter_metadata) == [OWNER + TEXT, OWNER + "/".join(OTHER)]
    (chain,) = listener.filter_chains
    assert not chain.HasField("filter_chain_match")
    manager = hcm_pb2.HttpConnectionManager.FromString(chain.filters[0].typed_config.value)
    assert manager.rds.route_config_name == "http.8080"
    assert manager.rds.config_source.HasField("ads")
    assert manager.use_remote_address.value
    assert manager.normalize_path.value
    assert not manager.merge_slashes
    assert manager.path_with_escaped_slashes_action == hcm_pb2.HttpConnectionManager.KEEP_UNCHANGED
    assert manager.server_name == "envoy"
    assert [f.name for f in manager.http_filters] == ["envoy.filters.http.router"]
    assert b"%ROUTE_NAME%" in manager.access_log[0].typed_config.value


@pytest.mark.spec("R-2")
def test_equal_plans_give_equal_bytes() -> None:
    tls = ServerTls(mutual=True, secret_name="s", subject_alt_names=("a", "b"))
    plan = PortPlan(port=1, gateways=(EDGE,), chains=(ChainPlan(route_config="r", gateway=EDGE, tls=tls),))
    assert encode_listener(plan, {}) == encode_listener(plan, {})


def test_tls_chains_belong_to_their_virtual_gateway() -> None:
    chains = tuple(
        ChainPlan(
            route_config=f"r.{g.name}", gateway=g, server_names=(f"{g.name}.example",), tls=ServerTls(secret_name="s")
        )
        for g in (EDGE, OTHER)
    )
    pieces = encode_listener(PortPlan(port=8443, gateways=(EDGE, OTHER), chains=chains), {})
    listener = parse(pieces)
    assert [p.contribution for p in pieces] == ["", TEXT, "/".join(OTHER)]
    assert [f.name for f in listener.listener_filters] == ["envoy.filters.listener.tls_inspector"]
    assert [list(c.filter_chain_match.server_names) for c in listener.filter_chains] == [
        ["edge.example"],
        ["other.example"],
    ]


def test_certificates_by_secret() -> None:
    simple = tls_context(secure(ServerTls(secret_name="edge-cert")))
    (source,) = simple.common_tls_context.tls_certificate_sds_secret_configs
    assert (source.name, source.sds_config.HasField("ads")) == ("kubernetes://edge-cert", True)
    assert list(simple.common_tls_context.alpn_protocols) == ["h2", "http/1.1"]
    assert simple.common_tls_context.tls_params.tls_minimum_protocol_version == 3, "TLS 1.2"
    assert not simple.require_client_certificate.value
    mutual = tls_context(secure(ServerTls(mutual=True, secret_name="edge-cert")))
    assert mutual.require_client_certificate.value
    assert mutual.common_tls_context.validation_context_sds_secret_config.name == "kubernetes://edge-cert-cacert"
    named = tls_context(secure(ServerTls(mutual=True, secret_name="s", subject_alt_names=("spiffe://x",))))
    combined = named.common_tls_context.combined_validation_context
    assert combined.validation_context_sds_secret_config.name == "kubernetes://s-cacert"
    names = combined.default_validation_context.match_typed_subject_alt_names
    assert [(m.san_type, m.matcher.exact) for m in names] == [(2, "spiffe://x"), (3, "spiffe://x")]


def test_certificates_by_files_and_parameters() -> None:
    tls = ServerTls(
        mutual=True,
        server_cert="c",
        private_key="k",
        ca_certs="a",
        minimum=ProtocolVersion.TLSV1_1,
        maximum=ProtocolVersion.TLSV1_3,
        cipher_suites=("AES128-SHA",),
    )
    common = tls_context(secure(tls)).common_tls_context
    (certificate,) = common.tls_certificates
    assert (certificate.certificate_chain.filename, certificate.private_key.filename) == ("c", "k")
    assert common.validation_context.trusted_ca.filename == "a"
    parameters = common.tls_params
    assert (parameters.tls_minimum_protocol_version, parameters.tls_maximum_protocol_version) == (2, 4)
    assert list(parameters.cipher_suites) == ["AES128-SHA"]


class Exposed(NamedTuple):
    sni: str
    cluster_name: str
    contribution: str


@pytest.mark.spec("D-27")
def test_an_east_west_listener_has_a_chain_per_name_and_none_by_default() -> None:
    one = Exposed("outbound_.80_._.a.global", "outbound|8080||a.ns.svc.cluster.local", "vd/a")
    two = Exposed("outbound_.80_._.b.global", "outbound|8080||b.ns.svc.cluster.local", "vd/b")
    pieces = encode_eastwest_listener(15443, [two, one, one._replace(cluster_name="z")])
    assert pieces == encode_eastwest_listener(15443, [one, one._replace(cluster_name="z"), two])
    assert [p.contribution for p in pieces] == ["", "vd/a", "vd/b"]
    listener = parse(pieces)
    assert listener.name == "eastwest_15443"
    assert not listener.HasField("default_filter_chain")
    assert [list(c.filter_chain_match.server_names) for c in listener.filter_chains] == [[one.sni], [two.sni]]
    proxies = [tcp_proxy_pb2.TcpProxy.FromString(c.filters[0].typed_config.value) for c in listener.filter_chains]
    assert [p.cluster for p in proxies] == [one.cluster_name, two.cluster_name]
    context = tls_context(listener)
    assert context.require_client_certificate.value
    assert [c.name for c in context.common_tls_context.tls_certificate_sds_secret_configs] == ["default"]
    assert context.common_tls_context.validation_context_sds_secret_config.name == "ROOTCA"
    assert list(context.common_tls_context.alpn_protocols) == ["istio-peer-exchange", "istio", "h2", "http/1.1"]
