"""Bodies of ScopeDeltas: bytes that are made once per publication and shared by all agents that go from the same base
to the same state.

A body lacks only the scope's name and the sequence number, which each session puts before it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple

from fingerpost.relay.frames import pieces_of
from fingerpost.relay.pieces import Piece, PieceList, Splice, field
from fingerpost.relay.splices import compose
from fingerpost.relay.v1 import relay_pb2 as pb

ORDER: Mapping[str, int] = {"cluster": 10, "endpoints": 20, "listener": 30, "routes": 40, "status": 90}
_OTHER = 50
_HASHES = 16384  # hashes in one change: 256 KiB, well below a chunk
_CHANGES = pb.ScopeDelta.CHANGES_FIELD_NUMBER
_REMOVE = pb.ScopeDelta.REMOVE_FIELD_NUMBER
_PIECES = pb.ScopeDelta.PIECES_FIELD_NUMBER
_KEEP = pb.ScopeDelta.KEEP_FIELD_NUMBER


def order_of(type_: str) -> int:
    return ORDER.get(type_, _OTHER)


class Known(NamedTuple):
    """The receiver's list of one resource, by its digest; b"": it has none, and so none of the pieces."""

    base: bytes


class Ending(NamedTuple):
    """What a version says about its scope as a whole. `keep` None: as before."""

    version: int
    after: bytes
    keep: Mapping[str, str] | None
    confirmed: bool
    seen_unix_nanos: int = 0
    traceparent: str = ""
    joined: tuple[str, ...] = ()  # traces of the other changes that this version brings


class Plan(NamedTuple):
    """What one receiver has to learn: for each key that may differ, what it knows of it."""

    known: Mapping[tuple[str, str], Known]
    ending: Ending


class _Bodies:
    """Cuts fields of a ScopeDelta into bodies of at most `chunk` bytes (a single larger field goes alone)."""

    def __init__(self, head: bytes, chunk: int) -> None:
        self._head, self._chunk = head, chunk
        self._parts: list[bytes] = []
        self._size = 0
        self._done: list[bytes] = []

    def add(self, number: int, raw: bytes) -> None:
        part = field(number, raw)
        if self._parts and self._size + len(part) > self._chunk:
            self._cut(b"")
        self._parts.append(part)
        self._size += len(part)

    def _cut(self, tail: bytes) -> None:
        self._done.append(b"".join((self._head, *self._parts, tail)))
        self._parts, self._size = [], 0

    def end(self, tail: bytes) -> tuple[bytes, ...]:
        self._cut(tail)
        return tuple(self._done)


def bodies(resources: Mapping[tuple[str, str], PieceList], plan: Plan, chunk: int) -> tuple[bytes, ...]:
    """Changes in ascending order of resource types, removals descending after them (relay.md §3.3 rule 9)."""
    ending = plan.ending
    out = _Bodies(pb.ScopeDelta(config_version=ending.version).SerializeToString(), chunk)
    present = sorted((order_of(t), t, n) for t, n in plan.known if (t, n) in resources)
    absent = sorted(((order_of(t), t, n) for t, n in plan.known if (t, n) not in resources), reverse=True)
    sent: set[bytes] = set()
    for order, type_, name in present:
        _change(out, type_, name, order, resources[type_, name], plan.known[type_, name], sent, chunk)
    for _, type_, name in absent:
        if plan.known[type_, name].base:
            out.add(_REMOVE, pb.ResourceDigest(type=type_, name=name).SerializeToString())
    if ending.keep is not None:
        for contribution, reason in sorted(ending.keep.items()):
            out.add(_KEEP, pb.Keep(contribution=contribution, reason=reason).SerializeToString())
    return out.end(
        pb.ScopeDelta(
            version_end=True,
            set_keep=ending.keep is not None,
            confirmed=ending.confirmed,
            after=ending.after,
            traceparent=ending.traceparent,
            seen_unix_nanos=ending.seen_unix_nanos,
            joined=ending.joined,
        ).SerializeToString()
    )


def _change(
    out: _Bodies, type_: str, name: str, order: int, now: PieceList, known: Known, sent: set[bytes], chunk: int
) -> None:
    if now.digest == known.base:
        return
    steps = now.steps_from(known.base) if known.base else None
    splices = compose(steps) if steps is not None else (Splice(0, 0, now.pieces),)
    whole = steps is None
    for change in _cut_change(splices):
        change.type, change.name, change.order = type_, name, order
        if not change.continues and not whole:
            change.base = known.base
        if change.hash:
            change.hash = now.digest
        out.add(_CHANGES, change.SerializeToString())
    if whole and known.base:
        return  # of an unknown list the receiver may have most pieces: it asks for those it lacks
    for splice in splices:
        for piece in splice.insert:
            if piece.hash not in sent:
                sent.add(piece.hash)
                for part in pieces_of(piece, chunk):
                    out.add(_PIECES, part.SerializeToString())


def _cut_change(splices: Iterable[Splice]) -> list[pb.ResourceChange]:
    """One change, or several that continue each other when the hashes are many; the last one bears a mark in `hash`."""
    changes, room = [pb.ResourceChange()], _HASHES
    for splice in splices:
        start, remove, rest = splice
        while True:
            if room == 0:
                changes.append(pb.ResourceChange(continues=True))
                room = _HASHES
            head, rest = rest[:room], rest[room:]
            changes[-1].splices.add(start=start, remove=remove, insert=b"".join(p.hash for p in head))
            room -= len(head)
            if not rest:
                break
            start, remove = start + len(head), 0
    changes[-1].hash = b"-"
    return changes


class Bodies:
    """The last few results, shared by all sessions. Memory: at most `limit` bytes besides the newest entry."""

    def __init__(self, chunk: int, limit: int = 64 << 20) -> None:
        self.chunk, self._limit, self._size = chunk, limit, 0
        self._kept: OrderedDict[Hashable, tuple[tuple[bytes, ...], object]] = OrderedDict()
        self.built = 0

    @property
    def sizes(self) -> dict[str, int]:
        return {"bodies": len(self._kept), "bodyBytes": self._size, "bodiesBuilt": self.built}

    def get(
        self, key: Hashable, alive: object, resources: Mapping[tuple[str, str], PieceList], plan: Callable[[], Plan]
    ) -> tuple[bytes, ...]:
        """`alive` is held as long as the entry, so that an id() inside the key cannot be given to another object."""
        if (found := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return found[0]
        made = bodies(resources, plan(), self.chunk)
        self.built += 1
        self._kept[key] = (made, alive)
        self._size += sum(map(len, made))
        while len(self._kept) > 1 and (self._size > self._limit or len(self._kept) > 256):
            _, (old, _alive) = self._kept.popitem(last=False)
            self._size -= sum(map(len, old))
        return made


def wanted_pieces(lists: Iterable[PieceList], hashes: set[bytes]) -> dict[bytes, Piece]:
    """The pieces with these hashes, as far as the lists still have them."""
    found: dict[bytes, Piece] = {}
    for pieces in lists:
        for piece in pieces:
            if piece.hash in hashes:
                found[piece.hash] = piece
        if len(found) == len(hashes):
            break
    return found
