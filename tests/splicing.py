"""The shortest way from one list of pieces to another, for tests that only have the two lists."""

from __future__ import annotations

from collections.abc import Sequence

from fingerpost.relay.pieces import Piece, Splice


def diff(old: Sequence[Piece], new: Sequence[Piece]) -> tuple[Splice, ...]:
    """One splice that turns `old` into `new`: what lies between the common head and the common tail."""
    head, limit = 0, min(len(old), len(new))
    while head < limit and old[head].hash == new[head].hash:
        head += 1
    tail = 0
    while tail < limit - head and old[-1 - tail].hash == new[-1 - tail].hash:
        tail += 1
    if head == len(old) == len(new):
        return ()
    return (Splice(head, len(old) - head - tail, tuple(new[head : len(new) - tail])),)
