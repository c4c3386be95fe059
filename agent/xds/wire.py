"""The two dialects of ADS, state of the world and delta: bytes to requests, resources to bytes. Knows nothing of order
or content.

Responses are put together by hand: a RouteConfiguration of 600 kB is copied, never parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple, Protocol

from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import discovery_pb2

from fingerpost.relay.pieces import PieceList, field

_TYPES = "type.googleapis.com/"
CDS = f"{_TYPES}envoy.config.cluster.v3.Cluster"
EDS = f"{_TYPES}envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS = f"{_TYPES}envoy.config.listener.v3.Listener"
RDS = f"{_TYPES}envoy.config.route.v3.RouteConfiguration"
SRDS = f"{_TYPES}envoy.config.route.v3.ScopedRouteConfiguration"
SDS = f"{_TYPES}envoy.extensions.transport_sockets.tls.v3.Secret"
WILDCARD_TYPES = frozenset((CDS, LDS, SRDS))
SERVED = (CDS, EDS, LDS, SRDS, RDS, SDS)


class Request(NamedTuple):
    type_url: str
    node: base_pb2.Node | None
    names: tuple[str, ...]  # subscribed to; with `complete` all of them, else those that are new
    dropped: tuple[str, ...]
    complete: bool
    nonce: str
    error: str | None
    versions: Mapping[str, str]  # what the proxy has from a stream before this one


class Resource(NamedTuple):
    name: str
    version: str
    body: bytes


def list_version(pieces: PieceList) -> str:
    return pieces.digest[:12].hex()


def body_version(body: bytes) -> str:
    return blake2b(body, digest_size=12).hexdigest() if body else ""


class Wire(Protocol):
    incremental: bool

    def read(self, data: bytes) -> Request: ...

    def write(self, type_url: str, nonce: str, resources: Iterable[Resource], removed: Iterable[str]) -> bytes: ...


class StateOfTheWorld:
    """A response of a wildcard type holds everything; `removed` shows only by absence."""

    incremental = False

    def read(self, data: bytes) -> Request:
        r = discovery_pb2.DiscoveryRequest.FromString(data)
        node = r.node if r.HasField("node") else None
        error = r.error_detail.message if r.HasField("error_detail") else None
        return Request(r.type_url, node, tuple(r.resource_names), (), True, r.response_nonce, error, {})

    def write(self, type_url: str, nonce: str, resources: Iterable[Resource], removed: Iterable[str]) -> bytes:
        url = type_url.encode()
        parts = [field(1, nonce.encode())]
        head = field(1, url)
        parts += [field(2, head + field(2, r.body)) for r in resources]
        parts += [field(4, url), field(5, nonce.encode())]
        return b"".join(parts)


class Delta:
    incremental = True

    def read(self, data: bytes) -> Request:
        r = discovery_pb2.DeltaDiscoveryRequest.FromString(data)
        node = r.node if r.HasField("node") else None
        error = r.error_detail.message if r.HasField("error_detail") else None
        return Request(
            r.type_url,
            node,
            tuple(r.resource_names_subscribe),
            tuple(r.resource_names_unsubscribe),
            False,
            r.response_nonce,
            error,
            dict(r.initial_resource_versions),
        )

    def write(self, type_url: str, nonce: str, resources: Iterable[Resource], removed: Iterable[str]) -> bytes:
        url = type_url.encode()
        head = field(1, url)
        parts = [
            field(2, field(3, r.name.encode()) + field(1, r.version.encode()) + field(2, head + field(2, r.body)))
            for r in resources
        ]
        parts += [field(6, name.encode()) for name in removed]
        parts += [field(4, url), field(5, nonce.encode())]
        return b"".join(parts)
