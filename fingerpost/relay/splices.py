"""Algebra of splices: several edits of one list joined into one minimal set, so that what came and went in between is
never sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fingerpost.relay.pieces import Piece, Splice


class _Base(NamedTuple):
    """A run of the base list: [first, end)."""

    first: int
    end: int


_Run = _Base | list[Piece]
_OPEN = 1 << 62


def compose(splices: Iterable[Splice]) -> tuple[Splice, ...]:
    """Splices with the same effect on every list on which the given ones are valid; ascending, each piece inserted
    once.
    """
    given = tuple(splices)
    if len(given) < 2:
        return given
    runs: list[_Run] = [_Base(0, _OPEN)]
    for start, remove, insert in given:
        head, rest = _split(runs, start)
        _, tail = _split(rest, remove)
        runs = [*head, list(insert), *tail]
    return _splices(runs)


def _length(run: _Run) -> int:
    return run.end - run.first if isinstance(run, _Base) else len(run)


def _split(runs: list[_Run], at: int) -> tuple[list[_Run], list[_Run]]:
    """The runs before and after position `at`."""
    for i, run in enumerate(runs):
        if at < _length(run):
            if at == 0:
                return runs[:i], runs[i:]
            left: _Run
            right: _Run
            if isinstance(run, _Base):
                left, right = _Base(run.first, run.first + at), _Base(run.first + at, run.end)
            else:
                left, right = run[:at], run[at:]
            return [*runs[:i], left], [right, *runs[i + 1 :]]
        at -= _length(run)
    return runs, []


def _splices(runs: list[_Run]) -> tuple[Splice, ...]:
    """Walk the final runs: what lies between two base runs replaces the part of the base that is missing there."""
    out: list[Splice] = []
    pending: list[Piece] = []
    shift = position = 0
    for run in runs:
        if not isinstance(run, _Base):
            pending.extend(run)
            continue
        removed = run.first - position
        if removed or pending:
            out.append(Splice(position + shift, removed, tuple(pending)))
            shift += len(pending) - removed
            pending = []
        position = run.end
    return tuple(out)
