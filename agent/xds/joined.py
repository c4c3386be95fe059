"""The bytes of one large resource, kept per block, so that one edited route among 10,000 hosts joins one host anew and
not all of them.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from agent.apply.blocks import blocks_of
from fingerpost.relay.pieces import PieceList, Splice, join


class Joined:
    """`value(list)` is `join(list)`; consecutive versions of one list are cheap."""

    __slots__ = ("_bytes", "_counts", "_pieces")

    def __init__(self) -> None:
        self._pieces: PieceList | None = None
        self._counts: list[int] = []  # pieces per block
        self._bytes: list[bytes] = []

    def value(self, pieces: PieceList) -> bytes:
        if self._pieces is not pieces:
            steps = pieces.steps_from(self._pieces.digest) if self._pieces is not None else None
            if steps is None or len(steps) != 1:
                self._counts, self._bytes = _segments(pieces, 0, len(pieces))
            else:
                self._splice(pieces, steps[0])
            self._pieces = pieces
        return b"".join(self._bytes)

    def _splice(self, new: PieceList, splice: Splice) -> None:
        """Rebuild the blocks from the one before the splice, which may win or lose items, to the one where it ends."""
        ends = list(accumulate(self._counts))
        total = ends[-1] if ends else 0
        first = bisect_right(ends, max(splice.start - 1, 0))
        start = ends[first - 1] if first else 0
        after = min(splice.start + splice.remove, total)
        last = bisect_right(ends, after)  # the block that holds the first piece behind the splice
        stop = ends[last] if last < len(ends) else total
        counts, bodies = _segments(new, start, stop + len(splice.insert) - splice.remove)
        self._counts[first : last + 1] = counts
        self._bytes[first : last + 1] = bodies


def _segments(pieces: PieceList, start: int, stop: int) -> tuple[list[int], list[bytes]]:
    counts: list[int] = []
    bodies: list[bytes] = []
    for block in blocks_of(pieces.span(start, stop - start)):
        counts.append(1 + len(block.items))
        bodies.append(join(block.pieces))
    return counts, bodies
