"""One real Envoy for all cases: every declared RouteTable is served for its own host, on the Service ports 80 and 443.

The backends answer with what they saw. The route configuration is the join of the emitter's pieces, nothing is added.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from fingerpost.api.common import DestinationReference
from fingerpost.api.networking.route_table import RouteTable
from fingerpost.objects import ObjectKey
from fingerpost.relay.pieces import Piece, join
from fingerpost.relay.route_forms import Form
from mgmt.translate import ir
from mgmt.translate.check.regex import LARGEST_PROGRAM
from mgmt.translate.emit.envoy.route_config import route_config_head, table_pieces, virtual_host_head
from mgmt.translate.routing.errors import RouteError
from mgmt.translate.routing.plan import Resolved, TablePlan
from mgmt.translate.routing.resolve import resolve_routes
from mgmt.translate.routing.route_table import compile_table
from tests.conformance.envoy_process import running_envoy
from tests.conformance.route_forms import put_routes

PORTS = (80, 443)
HALF_DEAD = "half-dead"  # the Service of which one of two endpoints refuses connections


class Case(NamedTuple):
    """A declared table: `host` names it to the gateway."""

    host: str
    plan: TablePlan
    resolved: Resolved

    @property
    def messages(self) -> list[str]:
        return [problem.message for problem in (*self.plan.problems, *self.resolved.problems)]


DECLARED: dict[str, Case] = {}


def declare(name: str, http_routes: str, host: str = "") -> Case:
    """Called while test modules are imported, so that one Envoy can serve all cases."""
    assert name not in DECLARED, name
    host = host or f"{name}.test"
    spec = {"hosts": [host], "virtualGateways": [{"name": "edge"}], "http": yaml.safe_load(http_routes)}
    table = msgspec.convert({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}, RouteTable)
    plan = compile_table(ObjectKey("networking.gloo.solo.io/RouteTable", "east-1", "shop", name), table)
    case = Case(host, plan, resolve_routes(plan, resolve_service))
    DECLARED[name] = case
    return case


def resolve_service(ref: DestinationReference, source: ir.Source) -> ir.Destination | RouteError:
    """Every Service exists, but for one called `nope`."""
    assert ref.ref is not None
    if ref.ref.name == "nope":
        return RouteError("destination", "destination Service shop/nope in cluster east-1 not found")
    key = ObjectKey("core/Service", "east-1", "shop", ref.ref.name)
    return ir.Destination(
        object=key,
        host=f"{ref.ref.name}.shop.svc.cluster.local",
        port=8080,
        subset=tuple(sorted(ref.subset.items())),
    )


class Answer(NamedTuple):
    status: int
    body: str
    headers: Mapping[str, str]

    @property
    def seen(self) -> dict[str, Any]:
        """What the backend saw: cluster, path, host, headers."""
        assert self.status == 200, self
        seen: dict[str, Any] = json.loads(self.body)
        return seen


class Gateway:
    """A client of the running Envoy."""

    def __init__(self, ports: Mapping[int, int]) -> None:
        self._ports = ports

    def ask(
        self,
        case: Case | str,
        path: str = "/",
        *,
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        port: int = 80,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[port], timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", case if isinstance(case, str) else case.host)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(), {k.lower(): v for k, v in response.getheaders()})
        finally:
            connection.close()


def echo(cluster: str, address: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet per answer

        def do_GET(self) -> None:
            seen = {
                "cluster": cluster,
                "path": self.requestline.split()[1],  # self.path is not what was sent: it folds leading slashes
                "host": self.headers["host"],
                "headers": sorted(name.lower() for name in self.headers),
            }
            body = json.dumps(seen).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer((address, port), Handler)


def _route_config(port: int) -> route_pb2.RouteConfiguration:
    pieces: list[Piece] = [route_config_head(f"http.{port}")]
    for case in DECLARED.values():
        pieces.append(virtual_host_head(case.host, port))
        pieces.extend(table_pieces(case.plan.contribution, case.resolved.routes, port).ordered)
    return route_pb2.RouteConfiguration.FromString(join(pieces))


def _bootstrap(backends: Mapping[str, ThreadingHTTPServer], refusing_port: int, form: Form) -> bytes:
    config = bootstrap_pb2.Bootstrap()
    layer = config.layered_runtime.layers.add(name="fingerpost").static_layer
    layer.update({"re2.max_program_size.error_level": LARGEST_PROGRAM})
    config.admin.address.socket_address.address = "127.0.0.1"
    config.admin.address.socket_address.port_value = 0
    for port in PORTS:
        listener = config.static_resources.listeners.add(name=str(port))
        listener.address.socket_address.address = "127.0.0.1"
        listener.address.socket_address.port_value = 0
        manager = hcm.HttpConnectionManager(stat_prefix=str(port))
        manager.normalize_path.value = True
        manager.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
        put_routes(manager, _route_config(port), form)
        listener.filter_chains.add().filters.add(name="http").typed_config.Pack(manager)
    for name, server in backends.items():
        cluster = config.static_resources.clusters.add(name=name, type=cluster_pb2.Cluster.STATIC)
        cluster.load_assignment.cluster_name = name
        ports = [server.server_port, refusing_port] if HALF_DEAD in name else [server.server_port]
        endpoints = cluster.load_assignment.endpoints.add()
        for port in ports:
            address = endpoints.lb_endpoints.add().endpoint.address.socket_address
            address.address, address.port_value = "127.0.0.1", port
    return bytes(config.SerializeToString())


@contextmanager
def running_gateway(folder: Path, form: Form) -> Iterator[Gateway]:
    used = {d.cluster_name for case in DECLARED.values() for d in case.resolved.destinations}
    backends = {name: echo(name) for name in sorted(used)}
    for server in backends.values():
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    refusing = socket.socket()  # bound and never listening
    refusing.bind(("127.0.0.1", 0))
    try:
        with running_envoy(folder, _bootstrap(backends, refusing.getsockname()[1], form)) as ports:
            yield Gateway({int(name): port for name, port in ports.items()})
    finally:
        refusing.close()
        for server in backends.values():
            server.shutdown()
            server.server_close()
