"""What is found by path is what comparing all with all finds, and it compares few."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_matchers_that_cover import matchers

from mgmt.snapshot import by_path
from mgmt.snapshot.by_path import Covering, Overlapping
from mgmt.translate.ir import Matcher, MatchKind, PathMatch
from mgmt.translate.routing.covering import covers, overlap

_MANY = 3000


@given(st.lists(matchers, max_size=12), matchers, st.integers(0, 12))
def test_the_first_that_covers_is_found(given_: list[Matcher], narrow: Matcher, end: int) -> None:
    expected = [number for number, wide in enumerate(given_) if covers(wide, narrow)]
    covering = Covering(given_)
    assert covering.first(narrow) == (expected[0] if expected else None)
    assert covering.first(narrow, before=end) == (expected[0] if expected and expected[0] < end else None)


@given(st.lists(matchers, max_size=12), matchers)
def test_none_that_overlaps_is_missed_and_none_is_told_twice(given_: list[Matcher], one: Matcher) -> None:
    found = list(Overlapping(given_).of(one))
    assert len(found) <= len(given_)
    for other in given_:
        assert found.count(other) == given_.count(other) or (not overlap(one, other) and other not in found)


@pytest.mark.parametrize("kind", list(MatchKind)[:3])
def test_a_table_with_thousands_of_paths_costs_no_comparison_of_all_with_all(
    kind: MatchKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0

    def counted(wide: Matcher, narrow: Matcher) -> bool:
        nonlocal compared
        compared += 1
        return covers(wide, narrow)

    monkeypatch.setattr(by_path, "covers", counted)
    many = [Matcher(path=PathMatch(kind, f"/r{number}/x")) for number in range(_MANY)]
    covering, overlapping = Covering(many), Overlapping(many)
    assert [covering.first(m) for m in many] == list(range(_MANY))
    shared: list[Any] = [list(overlapping.of(m)) for m in many]
    assert shared == [[m] for m in many]
    assert compared < 10 * _MANY
