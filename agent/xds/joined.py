"""The bytes of one large resource, kept per block, so that one edited route among 10,000 hosts joins one host anew and
not all of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Generic, NamedTuple, TypeVar

from agent.apply.blocks import Block, blocks_of
from fingerpost.relay.pieces import PieceList, Splice, join

T = TypeVar("T")


class Change(NamedTuple, Generic[T]):
    """What an update took away and what it put there. Not `whole`: all else is as it was."""

    removed: list[T]
    inserted: list[T]
    whole: bool


class Segments(Generic[T]):
    """A value per block of a list; consecutive versions of one list are cheap."""

    __slots__ = ("_counts", "_make", "_pieces", "values")

    def __init__(self, make: Callable[[Block], T]) -> None:
        self._make = make
        self._pieces: PieceList | None = None
        self._counts: list[int] = []  # pieces per block
        self.values: list[T] = []

    def update(self, pieces: PieceList) -> Change[T]:
        before, self._pieces = self._pieces, pieces
        if before is pieces:
            return Change([], [], False)
        steps = pieces.steps_from(before.digest) if before is not None else None
        if steps is not None and len(steps) == 1:
            return self._splice(pieces, steps[0])
        removed = self.values
        self._counts, self.values = self._made(pieces, 0, len(pieces))
        return Change(removed, self.values, True)

    def _splice(self, new: PieceList, splice: Splice) -> Change[T]:
        """Rebuild the blocks from the one before the splice, which may win or lose items, to the one where it ends."""
        ends = list(accumulate(self._counts))
        total = ends[-1] if ends else 0
        first = bisect_right(ends, max(splice.start - 1, 0))
        start = ends[first - 1] if first else 0
        after = min(splice.start + splice.remove, total)
        last = bisect_right(ends, after)  # the block that holds the first piece behind the splice
        stop = ends[last] if last < len(ends) else total
        counts, values = self._made(new, start, stop + len(splice.insert) - splice.remove)
        removed = self.values[first : last + 1]
        self._counts[first : last + 1] = counts
        self.values[first : last + 1] = values
        return Change(removed, values, False)

    def _made(self, pieces: PieceList, start: int, stop: int) -> tuple[list[int], list[T]]:
        blocks = blocks_of(pieces.span(start, stop - start))
        return [1 + len(block.items) for block in blocks], [self._make(block) for block in blocks]


class Joined:
    """`value(list)` is `join(list)`."""

    __slots__ = ("_segments",)

    def __init__(self) -> None:
        self._segments: Segments[bytes] = Segments(lambda block: join(block.pieces))

    def value(self, pieces: PieceList) -> bytes:
        self._segments.update(pieces)
        return b"".join(self._segments.values)
