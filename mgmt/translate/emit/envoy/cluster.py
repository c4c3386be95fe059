"""Envoy clusters: how a gateway sends to a destination (destinations.md §§3.2, 5.6, 8.4). Where endpoints are is told
apart, by `endpoints`.

The bytes depend on the destination alone, never on the gateway or its cluster, so that like gateways share them.
"""

from __future__ import annotations

from ipaddress import ip_address

from envoy.config.cluster.v3 import cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import address_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf.message import Message

from fingerpost.objects import ObjectKey
from fingerpost.relay.pieces import Piece, Role, piece
from mgmt.translate.emit.envoy.cluster_tls import client_socket, mesh_socket, raw_socket
from mgmt.translate.emit.envoy.tls import ads
from mgmt.translate.ir import MESH, Address, OutlierDetection, Upstream

_UNLIMITED = 2**32 - 1  # as istiod writes it; Envoy's own default is 1024 (policies-traffic.md §3.5)
_CONNECT_SECONDS = 10
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def contribution_of(key: ObjectKey) -> str:
    """The name under which an agent counts, keeps and takes back what an object adds:
    `<group>/<Kind>/<cluster>/<namespace>/<name>`.
    """
    return "/".join(key)


def encode_cluster(upstream: Upstream) -> tuple[Piece, ...]:
    """One piece: the whole Cluster."""
    body = build_cluster(upstream).SerializeToString(deterministic=True)
    return (piece(Role.TOP, contribution_of(upstream.destination.object), body),)


def build_cluster(upstream: Upstream) -> cluster_pb2.Cluster:
    cluster = cluster_pb2.Cluster(name=upstream.destination.cluster_name, lb_policy=cluster_pb2.Cluster.LEAST_REQUEST)
    cluster.connect_timeout.seconds = _CONNECT_SECONDS
    limits = cluster.circuit_breakers.thresholds.add()
    for field in (limits.max_connections, limits.max_pending_requests, limits.max_requests, limits.max_retries):
        field.value = _UNLIMITED
    if upstream.inline is None:
        cluster.type = cluster_pb2.Cluster.EDS
        cluster.eds_cluster_config.service_name = cluster.name
        cluster.eds_cluster_config.eds_config.CopyFrom(ads())
    else:
        _inline(cluster, upstream.inline, upstream.destination.host)
    if upstream.http2:
        _http2(cluster)
    _transport(cluster, upstream)
    if (outlier := upstream.settings.outlier_detection) is not None:
        _outlier_detection(cluster.outlier_detection, outlier)
    if outlier is not None or upstream.mesh is not None:
        # An all-ejected local group has to fail over, not to be used in panic (§5.6).
        cluster.common_lb_config.healthy_panic_threshold.SetInParent()
    return cluster


def _inline(cluster: cluster_pb2.Cluster, addresses: tuple[Address, ...], host: str) -> None:
    static = all(_is_ip(a.host) or a.host.startswith("unix://") for a in addresses)
    cluster.type = cluster_pb2.Cluster.STATIC if static else cluster_pb2.Cluster.STRICT_DNS
    cluster.respect_dns_ttl = not static
    cluster.load_assignment.cluster_name = cluster.name
    by_locality: dict[tuple[str, str, str], list[Address]] = {}
    for address in addresses:
        by_locality.setdefault((address.region, address.zone, address.sub_zone), []).append(address)
    for locality, members in sorted(by_locality.items()):
        group: endpoint_components_pb2.LocalityLbEndpoints = cluster.load_assignment.endpoints.add()
        group.load_balancing_weight.value = len(members)
        if any(locality):
            group.locality.region, group.locality.zone, group.locality.sub_zone = locality
        for address in members:
            endpoint = group.lb_endpoints.add().endpoint
            # What host rewriting and auto_host_sni use.
            endpoint.hostname = host if static else address.host
            endpoint.address.CopyFrom(_address(address))


def _address(address: Address) -> address_pb2.Address:
    if address.host.startswith("unix://"):
        return address_pb2.Address(pipe=address_pb2.Pipe(path=address.host.removeprefix("unix://")))
    socket = address_pb2.SocketAddress(address=address.host, port_value=address.port)
    return address_pb2.Address(socket_address=socket)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _http2(cluster: cluster_pb2.Cluster) -> None:
    options = http_protocol_options_pb2.HttpProtocolOptions()
    options.explicit_http_config.http2_protocol_options.SetInParent()
    _pack(cluster.typed_extension_protocol_options[_HTTP_OPTIONS], options)


def _pack(target: Message, message: Message) -> None:
    target.Pack(message, deterministic=True)  # type: ignore[attr-defined]  # Any's method, which the stubs of Message lack


def _transport(cluster: cluster_pb2.Cluster, upstream: Upstream) -> None:
    """Plain text unless the destination or the endpoint says otherwise. The match for everything has to come last."""
    if upstream.mesh is None:
        for _, tls in upstream.tls:
            cluster.transport_socket.CopyFrom(client_socket(tls, http2=upstream.http2))
        return
    sockets = [(MESH, mesh_socket(upstream.mesh))]
    sockets += [(mode, client_socket(tls, http2=upstream.http2)) for mode, tls in upstream.tls]
    for mode, socket in sockets:
        match = cluster.transport_socket_matches.add(name=f"tlsMode-{mode}")
        match.match["tlsMode"] = mode
        match.transport_socket.CopyFrom(socket)
    plain = cluster.transport_socket_matches.add(name="tlsMode-disabled")
    plain.match.SetInParent()
    plain.transport_socket.CopyFrom(raw_socket())


def _outlier_detection(target: outlier_detection_pb2.OutlierDetection, value: OutlierDetection) -> None:
    target.consecutive_5xx.value = value.consecutive_errors
    target.enforcing_consecutive_5xx.value = 100
    target.interval.FromMilliseconds(value.interval_ms)
    target.base_ejection_time.FromMilliseconds(value.base_ejection_ms)
    # Envoy would otherwise cap what a user asked for at its own default of 300 s.
    target.max_ejection_time.FromMilliseconds(max(300_000, value.base_ejection_ms))
    if value.max_ejection_percent is not None:
        target.max_ejection_percent.value = value.max_ejection_percent
    if value.gateway_errors:
        target.consecutive_gateway_failure.value = value.gateway_errors
    target.enforcing_consecutive_gateway_failure.value = 100 if value.gateway_errors else 0
    target.enforcing_success_rate.value = 0
