"""Resources in pieces (design D13): a resource is an ordered list of byte pieces, its value is their join.

A piece names the contribution it belongs to, so that an agent can keep or take back one contribution of a resource
without parsing it. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

LINEAGE = 32
KEEP_CLUSTER = "@cluster/"  # in a Keep: every contribution of a root object that lives in that cluster
_MASK = 2**256 - 1
_START = b"\x00" * 16
_END = b"\xff" * 16


class Role(enum.IntEnum):
    """How a piece joins: TOP is copied; GROUP opens a length-delimited protobuf field; an ITEM belongs to the group
    before it.
    """

    TOP = 0
    GROUP = 1
    ITEM = 2


class Piece(NamedTuple):
    """One run of bytes. For GROUP the first byte is the field's tag (numbers below 16), the rest the group's fixed
    fields.

    `contribution` is the root object's key as text, "" for structure that belongs to the gateway itself.
    """

    hash: bytes
    role: Role
    contribution: str
    body: bytes


def piece(role: Role, contribution: str, body: bytes) -> Piece:
    digest = blake2b(bytes((role,)), digest_size=16)
    digest.update(contribution.encode())
    digest.update(b"\0")
    digest.update(body)
    return Piece(digest.digest(), role, contribution, body)


class Splice(NamedTuple):
    """At `start`, drop `remove` pieces and put `insert` there."""

    start: int
    remove: int
    insert: tuple[Piece, ...]


class Step(NamedTuple):
    """One edit in the history of a list: from the list with digest `base` by `splices`, one after the other."""

    base: bytes
    splices: tuple[Splice, ...]


def _pair(first: bytes, second: bytes) -> int:
    return int.from_bytes(blake2b(first + second, digest_size=32).digest(), "big")


def _pairs(hashes: Sequence[bytes]) -> int:
    return sum(_pair(a, b) for a, b in pairwise(hashes)) & _MASK


_RUN = 128


def _runs(pieces: Sequence[Piece]) -> list[tuple[Piece, ...]]:
    return [tuple(pieces[i : i + _RUN]) for i in range(0, len(pieces), _RUN)]


class PieceList:
    """An immutable list of pieces with a digest that costs as much to update as the edit, not as the list.

    The digest is the sum modulo 2^256 of the hashes of all neighbouring pairs, so it depends on the order.
    `lineage` remembers the last edits, newest last, so that a receiver that holds one of the former lists can be sent
    splices. Inside it is cut into runs that edited lists share: to copy 20,000 references for each edit costs a cache
    miss apiece.
    """

    __slots__ = ("_ends", "_flat", "_runs", "_size", "_sum", "lineage")

    def __init__(
        self, pieces: Iterable[Piece], *, digest_sum: int | None = None, lineage: tuple[Step, ...] = ()
    ) -> None:
        flat = tuple(pieces)
        self._flat: tuple[Piece, ...] | None = flat if len(flat) <= _RUN else None
        self._runs = _runs(flat)
        self._ends: list[int] | None = None  # where each run ends; made when it is first asked for
        self._size = len(flat)
        self._sum = _pairs([_START, *(p.hash for p in flat), _END]) if digest_sum is None else digest_sum
        self.lineage = lineage

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All of them in one tuple; made when it is first asked for."""
        if self._flat is None:
            self._flat = tuple(chain.from_iterable(self._runs))
        return self._flat

    @property
    def digest(self) -> bytes:
        return self._sum.to_bytes(32, "big")

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Piece]:
        return chain.from_iterable(self._runs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PieceList) and self._sum == other._sum and self._size == other._size

    def __hash__(self) -> int:
        return hash(self._sum)

    def spliced(self, splices: Iterable[Splice]) -> PieceList:
        """Raises IndexError when a splice reaches beyond the list."""
        applied = tuple(splices)
        new = PieceList.__new__(PieceList)
        new._flat, new._runs, new._size, new._sum = None, list(self._runs), self._size, self._sum
        new._ends = self._ends
        for splice in applied:
            new._splice(splice)
        new._sum &= _MASK
        new.lineage = (*self.lineage[1 - LINEAGE :], Step(self.digest, applied))
        return new

    def _splice(self, splice: Splice) -> None:
        """Only on a list that nobody has seen yet."""
        start, remove, insert = splice
        if start < 0 or remove < 0 or start + remove > self._size:
            raise IndexError(f"splice {start}+{remove} of a list of {self._size}")
        runs = self._runs
        first, offset = self._locate(start)
        last, end = self._locate(start + remove)
        head = runs[first][:offset] if first < len(runs) else ()
        tail = runs[last][end:] if last < len(runs) else ()
        removed = self.span(start, remove)
        before = head[-1].hash if head else runs[first - 1][-1].hash if first else _START
        after = tail[0].hash if tail else _END
        self._sum += _pairs([before, *(p.hash for p in insert), after])
        self._sum -= _pairs([before, *(p.hash for p in removed), after])
        middle = (*head, *insert, *tail)
        if len(middle) < _RUN // 4 and first:
            first -= 1
            middle = runs[first] + middle  # small runs would multiply
        runs[first : last + 1] = [middle] if 0 < len(middle) <= 2 * _RUN else _runs(middle)
        self._ends = None
        self._size += len(insert) - remove

    def span(self, start: int, count: int) -> tuple[Piece, ...]:
        """`pieces[start : start + count]` without putting all of them together."""
        first, offset = self._locate(start)
        last, _ = self._locate(start + count)
        return tuple(chain.from_iterable(self._runs[first : last + 1]))[offset:][:count]

    def _locate(self, position: int) -> tuple[int, int]:
        """The run of a position, and where in it; behind the last piece: a run that is not there."""
        if self._ends is None:
            self._ends = list(accumulate(map(len, self._runs)))
        index = bisect_right(self._ends, position)
        if index == len(self._ends):
            return index, 0
        return index, position - (self._ends[index - 1] if index else 0)

    def steps_from(self, base: bytes) -> tuple[Splice, ...] | None:
        """The splices that lead from the list with digest `base` to this one; None when that list is forgotten."""
        if base == self.digest:
            return ()
        for i in range(len(self.lineage) - 1, -1, -1):
            if self.lineage[i].base == base:
                return tuple(s for step in self.lineage[i:] for s in step.splices)
        return None


EMPTY = PieceList(())


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def join(pieces: Iterable[Piece]) -> bytes:
    """The value of a resource. Groups get tag and length here, so that an edit inside a group changes no other
    piece.
    """
    out: list[bytes] = []
    group: list[bytes] = []
    tag = b""

    def close() -> None:
        if group:
            out.append(tag + _varint(sum(map(len, group))))
            out.extend(group)
            group.clear()

    for _, role, _, body in pieces:
        if role == Role.ITEM:
            group.append(body)
            continue
        close()
        if role == Role.GROUP:
            tag = body[:1]
            group.append(body[1:])
        else:
            out.append(body)
    close()
    return b"".join(out)


def field(number: int, body: bytes) -> bytes:
    """`body` as the length-delimited protobuf field `number` (1..15)."""
    return bytes((number << 3 | 2,)) + _varint(len(body)) + body
