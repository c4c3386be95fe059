"""RouteConfigurations in pieces (design D13): heads, and a table's routes in runs that an edit hardly moves.

A host's routes are complete in themselves: a virtual host's head and then the pieces of its tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from envoy.config.route.v3 import route_components_pb2, route_pb2

from fingerpost.relay.pieces import Piece, Role, field, piece
from mgmt.translate import ir
from mgmt.translate.emit.envoy.route import DEFAULT_RETRIES, encode_routes

_VIRTUAL_HOSTS_TAG = bytes((2 << 3 | 2,))  # field 2 of RouteConfiguration, length-delimited
_ROUTES = 3  # field of VirtualHost
_CUT = 16
_LONGEST_BODY = 1024 * 1024


class TableRuns(NamedTuple):
    """A table's routes: `ordered` where it is alone on a host; else `normal` and, after those of all tables, `last`."""

    ordered: tuple[Piece, ...]
    normal: tuple[Piece, ...]
    last: tuple[Piece, ...]


def table_pieces(contribution: str, routes: Sequence[ir.Route], port: int) -> TableRuns:
    """`port` is the Service port of the listener."""
    encoded = [(field(_ROUTES, body), last) for route in routes for body, last in encode_routes(route, port)]
    ordered = _runs(contribution, (body for body, _ in encoded))
    if not any(last for _, last in encoded):
        return TableRuns(ordered, ordered, ())
    return TableRuns(
        ordered,
        _runs(contribution, (body for body, last in encoded if not last)),
        _runs(contribution, (body for body, last in encoded if last)),
    )


def _runs(contribution: str, bodies: Iterable[bytes]) -> tuple[Piece, ...]:
    """Cut after a body whose own hash says so: an insertion moves one cut, not all that follow."""
    out: list[Piece] = []
    run: list[bytes] = []
    for body in bodies:
        run.append(body)
        if blake2b(body, digest_size=1).digest()[0] % _CUT == 0:
            out.append(piece(Role.ITEM, contribution, b"".join(run)))
            run.clear()
    if run:
        out.append(piece(Role.ITEM, contribution, b"".join(run)))
    return tuple(out)


def route_config_head(name: str) -> Piece:
    """Everything of a RouteConfiguration but its virtual hosts."""
    config = route_pb2.RouteConfiguration(name=name, ignore_port_in_host_matching=True)
    config.validate_clusters.value = False
    config.max_direct_response_body_size_bytes.value = _LONGEST_BODY
    return piece(Role.TOP, "", config.SerializeToString(deterministic=True))


def virtual_host_head(host: str, port: int, require_tls: bool = False) -> Piece:
    """`port` only names it; the default retries are the host's.

    With `require_tls` every request is sent to https, and no route is ever reached.
    """
    head = route_components_pb2.VirtualHost(name=f"{host}:{port}", domains=[host])
    head.retry_policy.CopyFrom(DEFAULT_RETRIES)
    if require_tls:
        head.require_tls = route_components_pb2.VirtualHost.ALL
    return _group(head)


def blackhole(port: int) -> Piece:
    """The virtual host of a listener to which no table is bound: 404 for everything."""
    return _group(route_components_pb2.VirtualHost(name=f"blackhole:{port}", domains=["*"]))


def _group(head: Any) -> Piece:
    return piece(Role.GROUP, "", _VIRTUAL_HOSTS_TAG + head.SerializeToString(deterministic=True))
