"""What one proxy asked for of one type, what it was sent, and what it has not answered yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agent.xds.wire import WILDCARD_TYPES, Request, Resource, Wire
from fingerpost.relay.pieces import PieceList


class Offer(NamedTuple):
    """One response on its way: the names in it, and of those that come from the server the lists they were made of
    (scopes: that of their RouteConfiguration, by its name).
    """

    names: frozenset[str]
    lists: Mapping[str, PieceList]


class Subscription:
    def __init__(self, type_url: str, wire: Wire) -> None:
        self.type_url = type_url
        self.open = False  # the proxy has asked for this type
        self.offered = False
        self.names: set[str] = set()
        self.due: set[str] = set()  # newly asked for: to be answered also when nothing changed
        self.sent: dict[str, str] = {}  # name -> version
        self.lists: dict[str, PieceList] = {}
        self._wire = wire
        self._bodies: dict[str, Resource] = {}  # wildcard types of state of the world are sent whole
        self._whole = type_url in WILDCARD_TYPES and not wire.incremental
        self._inflight: dict[str, Offer] = {}
        self._nonce = 0

    @property
    def waiting(self) -> bool:
        return bool(self._inflight)

    def wants(self, name: str) -> bool:
        return self.type_url in WILDCARD_TYPES or name in self.names

    def update(self, request: Request) -> bool:
        """Take over names; true when there is something new to answer."""
        first = not self.open
        self.open = True
        self.sent.update(request.versions)
        if self.type_url in WILDCARD_TYPES:
            return first
        names = set(request.names) - {"*"}
        fresh = names - self.names
        if request.complete:
            for name in self.names - names:
                self._forget(name)
            self.names = names
        else:
            for name in request.dropped:
                self._forget(name)
            self.names = (self.names | names) - set(request.dropped)
        self.due |= {n for n in fresh if n not in request.versions}
        return first or bool(fresh)

    def answered(self, request: Request) -> Offer | None:
        """The response that this request acknowledges or refuses; None when it does neither."""
        offer = self._inflight.pop(request.nonce, None) if request.nonce else None
        if offer is None:
            return None
        if not self._wire.incremental:
            self._inflight.clear()  # an answer to the last response covers those before it
        return offer

    def take_back(self, offer: Offer) -> None:
        """The proxy refused this response, so nobody knows which of its parts it has: all are to be sent anew."""
        for name in offer.names:
            self.sent.pop(name, None)
            self._bodies.pop(name, None)
        for name in (*offer.names, *offer.lists):
            self.lists.pop(name, None)

    def offer(self, resources: list[Resource], removed: Iterable[str], lists: Mapping[str, PieceList]) -> bytes:
        self.offered = True
        self._nonce += 1
        nonce = str(self._nonce)
        gone = list(removed)
        for name in gone:
            self._forget(name)
        for resource in resources:
            self.sent[resource.name] = resource.version
            self.due.discard(resource.name)
        self.lists.update(lists)
        if not self._wire.incremental:
            self._inflight.clear()
        self._inflight[nonce] = Offer(frozenset(r.name for r in resources), lists)
        if self._whole:
            self._bodies.update((r.name, r) for r in resources)
            return self._wire.write(self.type_url, nonce, self._bodies.values(), ())
        return self._wire.write(self.type_url, nonce, resources, gone)

    def _forget(self, name: str) -> None:
        for table in (self.sent, self.lists, self._bodies):
            table.pop(name, None)
        self.due.discard(name)
