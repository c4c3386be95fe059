"""A RouteConfiguration as scoped routes: one scope per exact host, one for all other virtual hosts (the rest).

An Envoy takes an edit in proportion to the resource that it is in, so with many hosts each gets a resource of its own.
They are made of the same list as the one RouteConfiguration, so relay, guards, pins and re-admission know no forms.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2, scoped_route_pb2

from agent.apply.blocks import Block
from agent.xds.joined import Segments
from agent.xds.wire import Resource, body_version
from fingerpost.relay.pieces import Piece, PieceList, Role, field, join, piece

HEADER = "x-fingerpost-scope"  # the scope of a request: the listener writes it over whatever a client sends
SEPARATOR = "/"
REST = "*"
MARK = "fingerpost.dev/scoped-routes"  # metadata of every virtual host, so that the listener knows that one was found
LOWER = "fingerpost.dev/host-in-lower-case"  # a filter; as that called MARK for requests without a route yet
_NAME, _KEY, _CONFIG = 1, 3, 5  # fields of ScopedRouteConfiguration; a RouteConfiguration has its name in 1, too
_REMEMBERED = 32
_PLAIN_NAME = re.compile(r"[a-z0-9._-]+")


class _Host(NamedTuple):
    """A block: `host` None for the RouteConfiguration's own fields, REST for what has no scope of its own."""

    host: str | None
    body: bytes


class Scopes:
    """Of one RouteConfiguration; consecutive versions of its list cost what changed."""

    def __init__(self, config: str) -> None:
        self.config = config
        self.resources: dict[str, Resource] = {}
        self._bodies: dict[str, bytes] = {}  # host -> its virtual hosts
        self._segments: Segments[_Host] = Segments(_segment)
        self._head = b""
        self._list: PieceList | None = None
        self._past: deque[tuple[PieceList, frozenset[str]]] = deque(maxlen=_REMEMBERED)

    @property
    def rest(self) -> bool:
        """There is a virtual host without a scope of its own: a wildcard."""
        return self.name(REST) in self.resources

    def name(self, host: str) -> str:
        return f"{self.config}{SEPARATOR}{host}"

    def update(self, pieces: PieceList) -> None:
        """From whatever list to this one."""
        if self._list is pieces:
            return
        before, self._list = self._list, pieces
        change = self._segments.update(pieces)
        if change.whole or _own(change.removed) != _own(change.inserted):
            touched = self._rebuild()
        else:
            hosts = {s.host for s in change.removed if s.host is not None}
            bodies = {s.host: s.body for s in change.inserted if s.host is not None}
            if REST in hosts or REST in bodies:
                rest = b"".join(s.body for s in self._segments.values if s.host == REST)
                bodies.pop(REST, None)
                bodies |= {REST: rest} if rest else {}
            touched = self._replace(hosts | bodies.keys(), bodies)
        if before is not None:
            self._past.append((before, touched))

    def changed_since(self, seen: PieceList | None) -> set[str] | None:
        """The scopes that may differ between that list and the present one; None when that list is forgotten."""
        if seen is self._list:
            return set()
        names: set[str] = set()
        for before, touched in reversed(self._past):
            names |= touched
            if before is seen:
                return names
        return None

    def _rebuild(self) -> frozenset[str]:
        values = self._segments.values
        head = b"".join(_own(values)) + _CONFIG_TAIL
        if head != self._head:
            self._head = head
            self._bodies.clear()
        parts: dict[str, list[bytes]] = {}
        for segment in values:
            if segment.host is not None:
                parts.setdefault(segment.host, []).append(segment.body)
        hosts = {name.partition(SEPARATOR)[2] for name in self.resources} | parts.keys()
        return self._replace(hosts, {host: b"".join(bodies) for host, bodies in parts.items()})

    def _replace(self, hosts: Iterable[str], bodies: Mapping[str, bytes]) -> frozenset[str]:
        """Which scopes are other ones now. A host without a body goes."""
        touched = set()
        for host in hosts:
            name, body = self.name(host), bodies.get(host)
            if body is None:
                self._bodies.pop(host, None)
                self.resources.pop(name, None)
            elif self._bodies.get(host) == body:
                continue
            else:
                self._bodies[host] = body
                self.resources[name] = _scope(name, self._head + body)
            touched.add(name)
        return frozenset(touched)


def _own(segments: Iterable[_Host]) -> list[bytes]:
    """The RouteConfiguration's own fields."""
    return [s.body for s in segments if s.host is None]


def _scope(name: str, config: bytes) -> Resource:
    # A scalar field that comes twice has its last value: the name in the list's head gives way to the scope's.
    named = config + field(_NAME, name.encode())
    key = scoped_route_pb2.ScopedRouteConfiguration.Key()
    key.fragments.add(string_key=name)
    body = field(_NAME, name.encode()) + field(_KEY, key.SerializeToString()) + field(_CONFIG, named)
    return Resource(name, body_version(body), body)


def marked(scope: Resource, mark: str) -> Resource:
    """The scope with a name of its RouteConfiguration that was not there before.

    An Envoy remembers the scopes of a response that it refuses, but does not serve them; the very same scope in a later
    response it takes for known, and does not serve it either.
    """
    name = f"{scope.name}~{mark}".encode()
    return scope._replace(body=scope.body + field(_CONFIG, field(_NAME, name)))  # a message that comes twice is merged


def can_be_scoped(config: str) -> bool:
    """The name is part of every key: what a header, a format string or the case of letters would change cannot be."""
    return bool(_PLAIN_NAME.fullmatch(config))


def config_of(scope: str) -> str:
    return scope.partition(SEPARATOR)[0]


def _segment(block: Block) -> _Host:
    if block.head.role != Role.GROUP:
        return _Host(None, join(block.pieces))
    domains = route_components_pb2.VirtualHost.FromString(block.head.body[1:]).domains
    return _Host(_scope_of(domains), join((block.head, _MARKED, *block.items)))


def _scope_of(domains: Iterable[str]) -> str:
    """Hosts are case-insensitive, keys are not: a key is lower case, and so the listener makes what it looks up."""
    first, *more = (domain.lower() for domain in domains)
    return first if not more and _PLAIN_NAME.fullmatch(first) else REST


def _marked() -> Piece:
    host = route_components_pb2.VirtualHost()
    host.metadata.CopyFrom(base_pb2.Metadata())
    host.metadata.filter_metadata[MARK].fields["found"].bool_value = True
    return piece(Role.ITEM, "", host.SerializeToString(deterministic=True))


def _config_tail() -> bytes:
    config = route_pb2.RouteConfiguration(request_headers_to_remove=[HEADER])
    for name in (LOWER, MARK):
        config.typed_per_filter_config[name].Pack(route_components_pb2.FilterConfig(disabled=True))
    body: bytes = config.SerializeToString(deterministic=True)
    return body


_MARKED = _marked()
_CONFIG_TAIL = _config_tail()
