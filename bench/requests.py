"""What a request costs one worker of an Envoy, with its routes in either form: one after the other on one connection,
answered by the route itself. `python -m bench.requests HOSTS ROUNDS`.

Microseconds of processor time, and the rounds of all cases alternate; even so a busy machine makes all of them longer.
"""

from __future__ import annotations

import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from google.protobuf.json_format import MessageToDict

from bench.figures import emit
from bench.processes import envoy
from fingerpost.relay.route_forms import Form
from tests.conformance.route_forms import put_routes

REQUESTS = 4000  # a round
ADDRESS = "127.0.77.2"


class _Case(NamedTuple):
    name: str
    port: int
    form: Form
    wildcard: bool
    asked: str  # the host


def _cases(hosts: int) -> list[_Case]:
    host = f"host-{hosts // 2}.example"
    return [
        _Case("plain", 18301, Form.PLAIN, False, host),
        _Case("scoped", 18302, Form.SCOPED, False, host),
        _Case("scoped_upper_case", 18302, Form.SCOPED, False, host.title()),
        _Case("scoped_beside_wildcards", 18303, Form.SCOPED, True, host),
        _Case("scoped_wildcard", 18303, Form.SCOPED, True, "other.wild.example"),
    ]


def _listener(case: _Case, hosts: int) -> dict[str, Any]:
    config = route_pb2.RouteConfiguration(name=f"http.{case.port}", ignore_port_in_host_matching=True)
    for domain in (*(f"host-{i}.example" for i in range(hosts)), *(("*.wild.example",) if case.wildcard else ())):
        host = config.virtual_hosts.add(name=domain, domains=[domain])
        for path in ("/cart", "/moved", "/"):
            route = host.routes.add(name=path)
            route.match.prefix = path
            route.direct_response.status = 200
    manager = hcm.HttpConnectionManager(stat_prefix="bench")
    manager.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
    put_routes(manager, config, case.form)
    listener = listener_pb2.Listener(name=str(case.port))
    listener.address.socket_address.address = ADDRESS
    listener.address.socket_address.port_value = case.port
    listener.filter_chains.add().filters.add(name="http").typed_config.Pack(manager)
    made: dict[str, Any] = MessageToDict(listener, preserving_proto_field_name=True)
    return made


def _busy_nanoseconds(pid: int) -> int:
    """On a processor, all threads."""
    return sum(int(p.read_text().split()[0]) for p in Path(f"/proc/{pid}/task").glob("*/schedstat"))


@contextmanager
def _connection(port: int) -> Iterator[socket.socket]:
    end = time.monotonic() + 60
    while True:
        try:
            connection = socket.create_connection((ADDRESS, port), timeout=60)
            break
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
    with connection:
        yield connection


def _round(pid: int, case: _Case) -> float:
    """Microseconds a request."""
    request = f"GET /cart HTTP/1.1\r\nhost: {case.asked}\r\n\r\n".encode()
    with _connection(case.port) as connection:
        began = _busy_nanoseconds(pid)
        for _ in range(REQUESTS):
            connection.sendall(request)
            if not (answer := connection.recv(1 << 16)).startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"{case.name}: {answer!r}")
        return (_busy_nanoseconds(pid) - began) / 1000 / REQUESTS


def measure(root: Path, hosts: int, rounds: int) -> None:
    cases = _cases(hosts)
    bootstrap = {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {"listeners": [_listener(c, hosts) for c in {c.port: c for c in cases}.values()]},
    }
    with envoy(root, "requests", bootstrap) as process:
        times: dict[str, list[float]] = {case.name: [] for case in cases}
        for _ in range(rounds):
            for case in cases:
                times[case.name].append(_round(process.pid, case))
    medians = {name: statistics.median(found) for name, found in times.items()}
    more = {f"{name}_us": round(found, 2) for name, found in medians.items()}
    load = round(os.getloadavg()[0], 1)
    emit(
        "requests",
        hosts=hosts,
        rounds=rounds,
        **more,
        more_us=round(medians["scoped"] - medians["plain"], 2),
        load=load,
    )


def main() -> None:
    hosts, rounds = (int(word) for word in sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="fingerpost-bench-") as folder:
        measure(Path(folder), hosts, rounds)


if __name__ == "__main__":
    main()
