"""A real Envoy on the listeners that a VirtualGateway gives: the emitter's bytes, with what the agent would serve.

RDS becomes inline, secrets come from files, addresses become loopback with a free port; nothing else is changed.
"""

from __future__ import annotations

import http.client
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2
from envoy.service.discovery.v3 import discovery_pb2
from listener_certificates import Certificate, issue

from fingerpost.api.internal.discovered_gateway import DiscoveredGatewaySpec, GatewayPort
from fingerpost.api.networking.virtual_gateway import VirtualGatewaySpec
from fingerpost.objects import ObjectKey
from fingerpost.relay.pieces import Piece, Role, field, join, piece
from fingerpost.relay.route_forms import Form
from mgmt.translate.emit.envoy.listener import encode_eastwest_listener, encode_listener
from mgmt.translate.emit.envoy.route_config import blackhole, route_config_head, virtual_host_head
from mgmt.translate.routing.gateway_plan import (
    GatewayListeners,
    GatewayPlan,
    RouteConfigPlan,
    merge_gateway,
    requires_tls,
)
from mgmt.translate.routing.listeners import compile_listeners, resolve_listeners
from tests.conformance.envoy_process import running_envoy
from tests.conformance.route_forms import put_routes

EDGE = ObjectKey("networking.gloo.solo.io/VirtualGateway", "east-1", "gw-config", "edge")
SERVICE = ObjectKey("core/Service", "east-1", "ingress-ns", "public-ingress")
EASTWEST_PORT = 15443
SNI = "outbound_.80_._.a.global"
BACKEND = "outbound|8080||a.ns.svc.cluster.local"


def plan_of(listeners: str) -> GatewayPlan:
    """The Service maps every port to itself."""
    spec = msgspec.convert({"listeners": yaml.safe_load(listeners)}, VirtualGatewaySpec)
    plans, problems = compile_listeners(EDGE, spec)
    ports = {p.port_number for p in plans}
    discovered = DiscoveredGatewaySpec(ports=tuple(GatewayPort(number=p, target=p) for p in sorted(ports)))
    resolved, misses = resolve_listeners(plans, SERVICE, discovered)
    plan, conflicts = merge_gateway([GatewayListeners(EDGE, resolved)])
    assert (problems, misses, conflicts) == ((), (), ())
    return plan


def _answer(text: str) -> Piece:
    route = route_components_pb2.Route(name=text, match=route_components_pb2.RouteMatch(prefix="/"))
    route.direct_response.status = 200
    route.direct_response.body.inline_string = text
    return piece(Role.ITEM, "table", field(3, route.SerializeToString()))


def _routes(config: RouteConfigPlan, hosts: tuple[str, ...]) -> route_pb2.RouteConfiguration:
    """Every host answers with the name of the configuration and its own."""
    pieces = [route_config_head(config.name)]
    for host in sorted({*hosts, *config.redirect_hosts}):
        pieces.append(virtual_host_head(host, config.port, requires_tls(host, config.redirect_hosts)))
        if host in hosts:
            pieces.append(_answer(f"{config.name} {host}"))
    if len(pieces) == 1:
        pieces.append(blackhole(config.port))
    return route_pb2.RouteConfiguration.FromString(join(pieces))


def _local_secrets(chain: Any, folder: Path) -> None:
    if not chain.HasField("transport_socket"):
        return
    context = tls_pb2.DownstreamTlsContext.FromString(chain.transport_socket.typed_config.value)
    common = context.common_tls_context
    sources = list(common.tls_certificate_sds_secret_configs)
    if common.HasField("validation_context_sds_secret_config"):
        sources.append(common.validation_context_sds_secret_config)
    for source in sources:
        assert source.sds_config.HasField("ads")
        source.sds_config.path_config_source.path = str(folder / f"{source.name.removeprefix('kubernetes://')}.pb")
    chain.transport_socket.typed_config.Pack(context)


def _inline_routes(chain: Any, configs: Mapping[str, route_pb2.RouteConfiguration], form: Form) -> None:
    (network_filter,) = chain.filters
    if network_filter.name != "envoy.filters.network.http_connection_manager":
        return
    manager = hcm_pb2.HttpConnectionManager.FromString(network_filter.typed_config.value)
    put_routes(manager, configs[manager.rds.route_config_name], form)
    network_filter.typed_config.Pack(manager)


def localized(
    body: bytes, configs: Mapping[str, route_pb2.RouteConfiguration], folder: Path, form: Form = Form.PLAIN
) -> Any:
    listener = listener_pb2.Listener.FromString(body)
    listener.address.socket_address.address = "127.0.0.1"
    listener.address.socket_address.port_value = 0
    for chain in listener.filter_chains:
        _inline_routes(chain, configs, form)
        _local_secrets(chain, folder)
    return listener


class Exposed(msgspec.Struct, frozen=True):
    sni: str
    cluster_name: str
    contribution: str


def _write_secrets(folder: Path, certificates: Mapping[str, Certificate], trust: Mapping[str, Certificate]) -> None:
    def write(secret: secret_pb2.Secret, name: str) -> None:
        response = discovery_pb2.DiscoveryResponse()
        response.resources.add().Pack(secret)
        (folder / f"{name}.pb").write_bytes(response.SerializeToString())

    for name, certificate in certificates.items():
        secret = secret_pb2.Secret(name=name if name == "default" else f"kubernetes://{name}")
        secret.tls_certificate.certificate_chain.inline_bytes = certificate.pem
        secret.tls_certificate.private_key.inline_bytes = certificate.key_pem
        write(secret, name)
    for name, ca in trust.items():
        secret = secret_pb2.Secret(name=name if name == "ROOTCA" else f"kubernetes://{name}")
        secret.validation_context.trusted_ca.inline_bytes = ca.pem
        write(secret, name)


class Client:
    """Speaks to the running Envoy; ports are those of the VirtualGateway's listeners."""

    def __init__(self, ports: Mapping[int, int], folder: Path, reached: list[bytes]) -> None:
        self._ports = ports
        self._folder = folder
        self.reached = reached  # what came through to the backend behind the east-west listener
        self.ca = folder / "ca.pem"

    def get(self, port: int, host: str, path: str = "/") -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[port], timeout=10)
        try:
            connection.request("GET", path, headers={"Host": host})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode()
        finally:
            connection.close()

    def exchange(
        self,
        port: int,
        name: str,
        *,
        certificate: str = "",
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        data: bytes | None = None,
    ) -> tuple[list[str], bytes]:
        """DNS names in the server's certificate, and the first bytes of its answer to `data` (default: a request)."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.check_hostname = False  # which certificate it presents is what is asked here
        context.maximum_version = newest
        if certificate:
            context.load_cert_chain(self._folder / f"{certificate}.crt", self._folder / f"{certificate}.key")
        with (
            socket.create_connection(("127.0.0.1", self._ports[port]), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname=name) as connection,
        ):
            peer = connection.getpeercert() or {}
            names = [str(value) for kind, value in peer.get("subjectAltName", ()) if kind == "DNS"]
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode() if data is None else data)
            return names, connection.recv(65536)


def bootstrap_of(listeners: Iterable[Any]) -> bootstrap_pb2.Bootstrap:
    config = bootstrap_pb2.Bootstrap()
    config.node.id = config.node.cluster = "test"
    config.admin.address.socket_address.address = "127.0.0.1"
    config.admin.address.socket_address.port_value = 0
    config.static_resources.listeners.extend(listeners)
    return config


def by_number(ports: Mapping[str, int]) -> dict[int, int]:
    """From the names of listeners, which end in the port that they are meant for."""
    return {int(name.rpartition("_")[2]): port for name, port in ports.items()}


@contextmanager
def running(
    folder: Path, listeners: str, hosts: Mapping[str, tuple[str, ...]], form: Form = Form.PLAIN
) -> Iterator[Client]:
    """`hosts`: the hosts that tables serve, by the name of the RouteConfiguration."""
    ca, stranger = issue("ca"), issue("stranger-ca")
    served = {name: issue(f"{name}.example", ca) for name in ("a", "b", "strict", "edge-mtls", "default")}
    _write_secrets(folder, served, {"edge-mtls-cacert": ca, "ROOTCA": ca})
    (folder / "ca.pem").write_bytes(ca.pem)
    for name, certificate in {"client": issue("client", ca), "stranger": issue("stranger", stranger)}.items():
        (folder / f"{name}.crt").write_bytes(certificate.pem)
        (folder / f"{name}.key").write_bytes(certificate.key_pem)
    plan = plan_of(listeners)
    assert set(hosts) <= {c.name for c in plan.route_configs}
    configs = {c.name: _routes(c, hosts.get(c.name, ())) for c in plan.route_configs}
    reached: list[bytes] = []
    with _backend(reached) as backend_port:
        bodies = [join(encode_listener(port, {})) for port in plan.ports]
        bodies.append(join(encode_eastwest_listener(EASTWEST_PORT, [Exposed(SNI, BACKEND, "vd")])))
        config = bootstrap_of(localized(body, configs, folder, form) for body in bodies)
        cluster = config.static_resources.clusters.add(name=BACKEND, type=cluster_pb2.Cluster.STATIC)
        cluster.load_assignment.cluster_name = BACKEND
        address = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
        address.address, address.port_value = "127.0.0.1", backend_port
        with running_envoy(folder, config.SerializeToString()) as ports:
            yield Client(by_number(ports), folder, reached)


@contextmanager
def _backend(reached: list[bytes]) -> Iterator[int]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data = b""
            while not data.endswith(b"\n"):
                if not (more := self.request.recv(65536)):
                    break
                data += more
            reached.append(data)
            self.request.sendall(b"got %d" % len(data))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
