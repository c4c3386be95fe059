"""Listeners of a plain-Envoy gateway in pieces: a head, then one piece per filter chain (routing.md §3.10,
destinations.md §4.6).

Only encoding: what listens where was decided in `routing.gateway_plan` and `routing.eastwest`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Protocol

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import address_pb2, substitution_format_string_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf import any_pb2, struct_pb2, wrappers_pb2
from google.protobuf.message import Message

from fingerpost.relay.pieces import Piece, Role, piece
from fingerpost.relay.route_forms import FORMS, Form
from mgmt.translate.emit.envoy.tls import ads, eastwest_socket, server_socket
from mgmt.translate.routing.gateway_plan import ChainPlan, PortPlan

OWNER = "fingerpost.dev/virtual-gateway:"  # metadata key: which VirtualGateways a listener belongs to
_ROUTER = "envoy.filters.http.router"
_TLS_INSPECTOR = "envoy.filters.listener.tls_inspector"
_HTTP = "envoy.filters.network.http_connection_manager"
_TCP = "envoy.filters.network.tcp_proxy"
_FILE_LOG = "envoy.access_loggers.file"
_EARLY_DATA = 64 * 1024  # what a caller may send ahead while the connection to the pod is opened; more waits

# One JSON object a line; the names are those of Istio's default log, so that queries written for it work here.
_LOG_FIELDS = {
    "start_time": "%START_TIME%",
    "route_name": "%ROUTE_NAME%",
    "method": "%REQ(:METHOD)%",
    "authority": "%REQ(:AUTHORITY)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "duration": "%DURATION%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "request_id": "%REQ(X-REQUEST-ID)%",
}


class EastWestChain(Protocol):
    """A destination that other clusters may reach through this gateway."""

    @property
    def sni(self) -> str: ...
    @property
    def cluster_name(self) -> str: ...
    @property
    def contribution(self) -> str: ...


def _pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message, deterministic=True)
    return packed


def _encode(message: Message) -> bytes:
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def listener_name(port: int) -> str:
    return f"0.0.0.0_{port}"


def eastwest_listener_name(port: int) -> str:
    return f"eastwest_{port}"


@cache
def _access_log() -> accesslog_pb2.AccessLog:
    fields = {name: struct_pb2.Value(string_value=text) for name, text in _LOG_FIELDS.items()}
    form = substitution_format_string_pb2.SubstitutionFormatString(json_format=struct_pb2.Struct(fields=fields))
    return accesslog_pb2.AccessLog(
        name=_FILE_LOG, typed_config=_pack(file_pb2.FileAccessLog(path="/dev/stdout", log_format=form))
    )


def _head(name: str, port: int, *, inspect_tls: bool) -> Piece:
    address = address_pb2.Address(socket_address=address_pb2.SocketAddress(address="0.0.0.0", port_value=port))  # noqa: S104
    listener = listener_pb2.Listener(name=name, address=address)
    if inspect_tls:
        inspector = listener_components_pb2.ListenerFilter(
            name=_TLS_INSPECTOR, typed_config=_pack(tls_inspector_pb2.TlsInspector())
        )
        listener.listener_filters.append(inspector)
    return piece(Role.TOP, "", _encode(listener))


def _http_filter(chain: ChainPlan, port: int) -> listener_components_pb2.Filter:
    manager = hcm_pb2.HttpConnectionManager(
        stat_prefix=f"ingress_{port}",
        rds=hcm_pb2.Rds(config_source=ads(), route_config_name=chain.route_config),
        use_remote_address=wrappers_pb2.BoolValue(value=True),
        normalize_path=wrappers_pb2.BoolValue(value=True),
        merge_slashes=False,
        path_with_escaped_slashes_action=hcm_pb2.HttpConnectionManager.KEEP_UNCHANGED,
        server_name="envoy",
        access_log=[_access_log()],
        http_filters=[hcm_pb2.HttpFilter(name=_ROUTER, typed_config=_pack(router_pb2.Router()))],
    )
    return listener_components_pb2.Filter(name=_HTTP, typed_config=_pack(manager))


def _chain_piece(
    contribution: str,
    name: str,
    server_names: Iterable[str],
    network_filter: listener_components_pb2.Filter,
    socket: Message | None,
) -> Piece:
    chain = listener_components_pb2.FilterChain(name=name, filters=[network_filter])
    chain.filter_chain_match.server_names.extend(server_names)
    if not chain.filter_chain_match.server_names:
        chain.ClearField("filter_chain_match")
    if socket is not None:
        chain.transport_socket.CopyFrom(socket)
    return piece(Role.TOP, contribution, _encode(listener_pb2.Listener(filter_chains=[chain])))


def _owner_piece(contribution: str) -> Piece:
    """Names a VirtualGateway that shares the plain chain, so that the listener stays while that contribution is kept.

    Repeated occurrences of the field join into one map, so each VirtualGateway can have a piece of its own.
    """
    listener = listener_pb2.Listener()
    listener.metadata.filter_metadata[OWNER + contribution].SetInParent()
    return piece(Role.TOP, contribution, _encode(listener))


def _forms_piece(forms: Mapping[str, Form]) -> Piece:
    """How the agent is to serve these RouteConfigurations; the listener itself is written for the plain form."""
    listener = listener_pb2.Listener()
    fields = listener.metadata.filter_metadata[FORMS].fields
    for name, form in forms.items():
        fields[name].string_value = form.value
    return piece(Role.TOP, "", _encode(listener))


def encode_listener(plan: PortPlan, forms: Mapping[str, Form]) -> tuple[Piece, ...]:
    """The Listener `listener_name(plan.port)`. `forms` by RouteConfiguration; plain where it is missing."""
    tls = any(chain.tls is not None or chain.server_names for chain in plan.chains)
    pieces = [_head(listener_name(plan.port), plan.port, inspect_tls=tls)]
    if any(chain.gateway is None for chain in plan.chains):
        pieces += [_owner_piece("/".join(gateway)) for gateway in plan.gateways]
    here = {chain.route_config: forms.get(chain.route_config, Form.PLAIN) for chain in plan.chains}
    if own := {name: form for name, form in here.items() if form is not Form.PLAIN}:
        pieces.append(_forms_piece(own))
    for chain in plan.chains:
        contribution = "" if chain.gateway is None else "/".join(chain.gateway)
        socket = None if chain.tls is None else server_socket(chain.tls)
        http = _http_filter(chain, plan.port)
        pieces.append(_chain_piece(contribution, chain.route_config, chain.server_names, http, socket))
    return tuple(pieces)


def encode_eastwest_listener(listening_port: int, chains: Sequence[EastWestChain]) -> tuple[Piece, ...]:
    """The Listener `eastwest_listener_name(listening_port)`: TLS ends here; a name that no chain has is closed (D-27).

    A name that two chains claim is given to the first of them in the order of (sni, cluster, contribution).
    """
    socket = eastwest_socket()
    pieces = [_head(eastwest_listener_name(listening_port), listening_port, inspect_tls=True)]
    known: set[str] = set()
    for chain in sorted(chains, key=lambda c: (c.sni, c.cluster_name, c.contribution)):
        if chain.sni in known:
            continue
        known.add(chain.sni)
        proxy = tcp_proxy_pb2.TcpProxy(
            stat_prefix=chain.cluster_name,
            cluster=chain.cluster_name,
            # A caller without a good certificate must not even open a connection to a pod.
            upstream_connect_mode=tcp_proxy_pb2.ON_DOWNSTREAM_TLS_HANDSHAKE,
            max_early_data_bytes=wrappers_pb2.UInt32Value(value=_EARLY_DATA),
        )
        tcp = listener_components_pb2.Filter(name=_TCP, typed_config=_pack(proxy))
        pieces.append(_chain_piece(chain.contribution, chain.sni, (chain.sni,), tcp, socket))
    return tuple(pieces)
