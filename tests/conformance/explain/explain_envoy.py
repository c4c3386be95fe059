"""One Envoy that serves the translator's own listeners and routes of many configurations, and says which route it took.

Only what needs the rest of the system is replaced: addresses, the way to the routes, the way to the certificates, the
endpoints.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from random_world import Configuration

from fingerpost.relay.pieces import PieceList, join
from fingerpost.relay.route_forms import Form
from mgmt.translate.scopes import ResourceKey
from tests.conformance.envoy_process import running_envoy
from tests.conformance.route_forms import put_routes

KEY = ("east", "gw/ingress")
Resources = Mapping[ResourceKey, PieceList | None]


class Answer(NamedTuple):
    """`route` and `cluster` are Envoy's own words, empty where it took none."""

    status: int
    route: str
    cluster: str
    location: str


class Closed(Exception):
    """No answer: nothing listens, or not with that protocol or name."""


def resources(configuration: Configuration) -> Resources:
    gateway_class = configuration.turn.gateways[KEY]
    assert gateway_class is not None
    return configuration.turn.classes[gateway_class]


def clusters(configuration: Configuration) -> dict[str, cluster_pb2.Cluster]:
    return {
        name: cluster_pb2.Cluster.FromString(join(pieces))
        for (type_, name), pieces in resources(configuration).items()
        if type_ == "cluster" and pieces is not None
    }


def forwarded(configuration: Configuration) -> dict[str, set[frozenset[str]]]:
    """By route: all clusters that Envoy may choose for it, at each host that has it."""
    out: dict[str, set[frozenset[str]]] = {}
    held = resources(configuration)
    for name in (name for type_, name in held if type_ == "routes"):
        for host in _routes(held, name).virtual_hosts:
            for route in host.routes:
                to = {weighted.name for weighted in route.route.weighted_clusters.clusters} or {route.route.cluster}
                out.setdefault(route.name, set()).add(frozenset(to - {""}))
    return out


def _routes(held: Resources, name: str) -> route_pb2.RouteConfiguration:
    pieces = held["routes", name]
    assert pieces is not None
    config = route_pb2.RouteConfiguration.FromString(join(pieces))
    for header, text in (("x-route", "%ROUTE_NAME%"), ("x-cluster", "%UPSTREAM_CLUSTER%")):
        added = config.response_headers_to_add.add()
        added.header.key, added.header.value = header, text
    return config


def _listener(
    index: int, name: str, held: Resources, socket: tls_pb2.DownstreamTlsContext, form: Form
) -> listener_pb2.Listener:
    pieces = held["listener", name]
    assert pieces is not None
    listener = listener_pb2.Listener.FromString(join(pieces))
    listener.name = f"{index}/{name}"
    listener.address.socket_address.address = "127.0.0.1"
    listener.address.socket_address.port_value = 0
    for chain in listener.filter_chains:
        manager = hcm.HttpConnectionManager()
        assert chain.filters[0].typed_config.Unpack(manager)
        put_routes(manager, _routes(held, manager.rds.route_config_name), form)
        del manager.access_log[:]
        chain.filters[0].typed_config.Pack(manager)
        if chain.HasField("transport_socket"):
            chain.transport_socket.typed_config.Pack(socket)
    return listener


def _certificate() -> tls_pb2.DownstreamTlsContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")]), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    context = tls_pb2.DownstreamTlsContext()
    pair = context.common_tls_context.tls_certificates.add()
    pair.certificate_chain.inline_bytes = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pair.private_key.inline_bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return context


def _bootstrap(configurations: Sequence[Configuration], backend: int, form: Form) -> bytes:
    config = bootstrap_pb2.Bootstrap()
    config.admin.address.socket_address.address = "127.0.0.1"
    config.admin.address.socket_address.port_value = 0
    socket, names = _certificate(), set()
    for index, configuration in enumerate(configurations):
        held = resources(configuration)
        names |= set(clusters(configuration))
        for type_, name in held:
            if type_ == "listener" and not name.startswith("eastwest"):
                config.static_resources.listeners.append(_listener(index, name, held, socket, form))
    for name in sorted(names):
        cluster = config.static_resources.clusters.add(name=name, type=cluster_pb2.Cluster.STATIC)
        cluster.load_assignment.cluster_name = name
        address = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
        address.address, address.port_value = "127.0.0.1", backend
    return bytes(config.SerializeToString())


class _Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


class Gateways:
    """Clients of the running Envoy. A port is that of a configuration's proxy, such as 8080."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    def ask(
        self,
        index: int,
        port: int,
        sni: str,
        authority: str,
        target: str,
        method: str,
        headers: Sequence[tuple[str, str]],
    ) -> Answer:
        """`sni` empty: plain text. Raises Closed."""
        real = self._ports.get(f"{index}/0.0.0.0_{port}")
        if real is None:
            raise Closed
        connection = http.client.HTTPConnection("127.0.0.1", real, timeout=10)
        try:
            connection.connect()
            if sni:
                connection.sock = self._tls.wrap_socket(connection.sock, server_hostname=sni)
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", authority)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders()
            found = connection.getresponse()
            found.read()
            return Answer(
                found.status,
                found.getheader("x-route", ""),
                found.getheader("x-cluster", ""),
                found.getheader("location", ""),
            )
        except (ssl.SSLError, http.client.HTTPException, ConnectionError) as error:
            raise Closed from error
        finally:
            connection.close()


@contextmanager
def running(configurations: Sequence[Configuration], folder: Path, form: Form) -> Iterator[Gateways]:
    backend = ThreadingHTTPServer(("127.0.0.1", 0), _Backend)
    threading.Thread(target=backend.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with running_envoy(folder, _bootstrap(configurations, backend.server_port, form)) as ports:
            yield Gateways(ports)
    finally:
        backend.shutdown()
        backend.server_close()
