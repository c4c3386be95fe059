"""Bodies of ScopeDeltas: bytes that are made once per publication and shared by all agents that go from the same base
to the same state.

A body lacks only the sequence number, the scope's name and its version, which each session puts before it. What all is
in a scope is made once for agents of any version of it: only how it ends is each one's own.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from fingerpost.memory import give_back
from fingerpost.relay.frames import pieces_of
from fingerpost.relay.pieces import Piece, PieceList, Splice, field
from fingerpost.relay.splices import compose
from fingerpost.relay.v1 import relay_pb2 as pb

Resources = Mapping[tuple[str, str], PieceList]

ORDER: Mapping[str, int] = {"cluster": 10, "endpoints": 20, "listener": 30, "routes": 40, "status": 90}
_OTHER = 50
_UNUSED = 15.0
_RUSH = 1 << 20  # bytes; the small bodies of an edit are not worth the pause in which memory is given back
_BLOCK = 1 << 14  # bytes, of what is kept
_HASHES = 16384  # hashes in one change: 256 KiB, well below a chunk
_CHANGES = pb.ScopeDelta.CHANGES_FIELD_NUMBER
_REMOVE = pb.ScopeDelta.REMOVE_FIELD_NUMBER
_PIECES = pb.ScopeDelta.PIECES_FIELD_NUMBER
_KEEP = pb.ScopeDelta.KEEP_FIELD_NUMBER


def order_of(type_: str) -> int:
    return ORDER.get(type_, _OTHER)


class Keep(dict[str, str]):
    """Contribution -> why an agent keeps it. It does not change: all that are told the same share it, and it is encoded
    once. `own` goes before what many share, the `base`.
    """

    def __init__(self, own: Mapping[str, str], base: Keep | None = None) -> None:
        super().__init__({**(base or {}), **own})
        self._own, self._base = own, base

    @cached_property
    def blocks(self) -> tuple[bytes, ...]:
        """Fields of a ScopeDelta. Of a contribution that comes twice an agent takes the last."""
        out = _Bodies(_BLOCK)
        for contribution, reason in sorted(self._own.items()):
            out.add(_KEEP, pb.Keep(contribution=contribution, reason=reason).SerializeToString())
        return (*(self._base.blocks if self._base is not None else ()), *out.end())


class Known(NamedTuple):
    """The receiver's list of one resource, by its digest; b"": it has none, and so none of the pieces."""

    base: bytes


class Ending(NamedTuple):
    """What a version says about its scope as a whole. `keep` None: as before."""

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

    def __init__(self, chunk: int) -> None:
        self._chunk = chunk
        self._parts: list[bytes] = []
        self._size = 0
        self._done: list[bytes] = []

    def add(self, number: int, raw: bytes) -> None:
        self.put(field(number, raw))

    def put(self, part: bytes) -> None:
        if self._parts and self._size + len(part) > self._chunk:
            self._cut()
        self._parts.append(part)
        self._size += len(part)

    def _cut(self) -> None:
        self._done.append(b"".join(self._parts))
        self._parts, self._size = [], 0

    def end(self, tail: bytes = b"") -> tuple[bytes, ...]:
        if tail:
            self._parts.append(tail)
        if self._parts:
            self._cut()
        return tuple(self._done)


def bodies(resources: Resources, plan: Plan, chunk: int) -> tuple[bytes, ...]:
    """All of a delta."""
    return ended(content(resources, plan.known, chunk), plan.ending, chunk)


def content(resources: Resources, known: Mapping[tuple[str, str], Known], chunk: int) -> tuple[bytes, ...]:
    """Changes in ascending order of resource types, removals descending after them (relay.md §3.3 rule 9)."""
    out = _Bodies(chunk)
    present = sorted((order_of(t), t, n) for t, n in known if (t, n) in resources)
    absent = sorted(((order_of(t), t, n) for t, n in known if (t, n) not in resources), reverse=True)
    sent: set[bytes] = set()
    for order, type_, name in present:
        _change(out, type_, name, order, resources[type_, name], known[type_, name], sent, chunk)
    for _, type_, name in absent:
        if known[type_, name].base:
            out.add(_REMOVE, pb.ResourceDigest(type=type_, name=name).SerializeToString())
    return out.end()


def ended(content: tuple[bytes, ...], ending: Ending, chunk: int) -> tuple[bytes, ...]:
    """`content` and what is to be said after it."""
    out = _Bodies(chunk)
    if ending.keep is not None:
        for block in (ending.keep if isinstance(ending.keep, Keep) else Keep(ending.keep)).blocks:
            out.put(block)
    first, *rest = out.end(
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
    if content and len(content[-1]) + len(first) <= chunk:
        return (*content[:-1], content[-1] + first, *rest)
    return (*content, first, *rest)


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
    """The last few results, shared by all sessions. Memory: at most `limit` bytes besides the newest entry, and nothing
    that nobody has asked for in `_UNUSED` seconds.
    """

    def __init__(self, limit: int = 64 << 20) -> None:
        self._limit, self._size = limit, 0
        self._kept: OrderedDict[Hashable, tuple[tuple[bytes, ...], object]] = OrderedDict()
        self._used: set[Hashable] = set()  # since the last look
        self._look: asyncio.TimerHandle | None = None
        self.built = 0

    @property
    def sizes(self) -> dict[str, int]:
        return {"bodies": len(self._kept), "bodyBytes": self._size, "bodiesBuilt": self.built}

    def get(self, key: Hashable, alive: object, make: Callable[[], tuple[bytes, ...]]) -> tuple[bytes, ...]:
        """`alive` is held as long as the entry, so that an id() inside the key cannot be given to another object."""
        self._used.add(key)
        if (found := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return found[0]
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_UNUSED, self._drop_unused)
        made = make()
        self.built += 1
        self._kept[key] = (made, alive)
        self._size += sum(map(len, made))
        while len(self._kept) > 1 and (self._size > self._limit or len(self._kept) > 256):
            _, (old, _alive) = self._kept.popitem(last=False)
            self._size -= sum(map(len, old))
        return made

    def _drop_unused(self) -> None:
        loop, before = asyncio.get_running_loop(), self._size
        for key in self._kept.keys() - self._used:
            old, _alive = self._kept.pop(key)
            self._size -= sum(map(len, old))
        self._used.clear()
        self._look = loop.call_later(_UNUSED, self._drop_unused) if self._kept else None
        if before - self._size > _RUSH:
            loop.run_in_executor(None, give_back)


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
