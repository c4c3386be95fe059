"""The facts an agent tells about its cluster, with their digests, and which of them the server has not been told yet.

What waits is kept as keys, newest state looked up when it is sent, so that any number of edits of one object costs
one entry.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from fingerpost.objects import content_hash
from fingerpost.relay.digest import SetDigest, object_key

Name = tuple[str, str]  # namespace, name


class Fact(NamedTuple):
    """`body` is the canonical trimmed JSON; None: the object is gone."""

    type: str
    namespace: str
    name: str
    body: bytes | None


class Held(NamedTuple):
    hash: bytes
    body: bytes


class Seen(NamedTuple):
    """When and in which trace a change was seen."""

    unix_nanos: int
    traceparent: str


class TypeFacts:
    __slots__ = ("complete", "digest", "held", "waiting")

    def __init__(self) -> None:
        self.held: dict[Name, Held] = {}
        self.digest = SetDigest()
        self.complete = False  # the cluster's first listing of this type is done
        self.waiting: OrderedDict[Name, Seen] = OrderedDict()

    def take(self, name: Name, body: bytes | None, seen: Seen) -> bool:
        """False when nothing changed (M-8). A live change goes before what a listing still has to send."""
        old = self.held.get(name)
        if body is None:
            if old is None:
                return False
            del self.held[name]
        else:
            digest = content_hash(body)
            if old is not None and old.hash == digest:
                return False
            self.held[name] = Held(digest, body)
            self.digest.add(object_key(*name), digest)
        if old is not None:
            self.digest.discard(object_key(*name), old.hash)
        first = self.waiting.get(name)
        self.waiting[name] = seen if first is None or not first.unix_nanos else first
        self.waiting.move_to_end(name, last=False)
        return True

    def tell(self, names: Iterable[Name]) -> None:
        """Send these again, after what is live."""
        for name in names:
            self.waiting.setdefault(name, Seen(0, ""))


class Facts:
    def __init__(self) -> None:
        self.types: dict[str, TypeFacts] = {}

    def of(self, type_: str) -> TypeFacts:
        found = self.types.get(type_)
        if found is None:
            found = self.types[type_] = TypeFacts()
        return found

    def update(self, changes: Iterable[Fact], seen: Seen) -> bool:
        """True when a type that is told to the server changed."""
        changed = False
        for type_, namespace, name, body in changes:
            facts = self.of(type_)
            if facts.take((namespace, name), body, seen) and facts.complete:
                changed = True
        return changed
