"""Lists of pieces: splices equal full lists, whatever the edits."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.relay.pieces import PieceList, Splice
from fingerpost.relay.splices import compose
from tests.splicing import diff
from tests.unit.relay.support import body_piece

PIECES = [body_piece(f"piece {i}") for i in range(40)]
edits = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 1), st.lists(st.sampled_from(PIECES), max_size=300)), min_size=1, max_size=6
)


def cut(length: int, start: float, remove: float, insert: list) -> Splice:
    at = int(start * length)
    return Splice(at, int(remove * remove * (length - at)), tuple(insert))


@given(st.lists(st.sampled_from(PIECES), max_size=600), edits)
@settings(max_examples=150, deadline=None)
def test_splices_equal_full_lists(first: list, changes: list) -> None:
    start = now = PieceList(first)
    plain = list(first)
    for change in changes:
        splice = cut(len(plain), *change)
        plain[splice.start : splice.start + splice.remove] = splice.insert
        now = now.spliced([splice])
        assert list(now) == plain == list(now.pieces)
        assert len(now) == len(plain)
        assert now == PieceList(plain)
        assert now.span(len(plain) // 3, len(plain) // 2) == tuple(plain[len(plain) // 3 :][: len(plain) // 2])
    steps = now.steps_from(start.digest)
    assert steps is not None
    joined = compose(steps)
    assert start.spliced(joined) == now == start.spliced(diff(start.pieces, now.pieces))
    assert list(start.spliced(joined)) == plain
    assert all(a.start + len(a.insert) <= b.start for a, b in pairwise(joined))
    assert sum(len(s.insert) for s in joined) <= len(plain), "what came and went in between must not be sent"


def test_order_is_part_of_the_digest() -> None:
    assert PieceList(PIECES).digest != PieceList(PIECES[::-1]).digest


@pytest.mark.parametrize("splice", [Splice(3, 0, ()), Splice(0, 3, ()), Splice(-1, 0, ())])
def test_splice_beyond_the_list(splice: Splice) -> None:
    with pytest.raises(IndexError):
        PieceList(PIECES[:2]).spliced([splice])


def test_forgotten_base() -> None:
    now = PieceList(PIECES)
    former = now.digest
    for i in range(40):
        now = now.spliced([Splice(0, 1, (body_piece(f"new {i}"),))])
    assert now.steps_from(former) is None
    assert now.steps_from(now.digest) == ()
