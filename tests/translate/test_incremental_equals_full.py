"""Whatever was edited in whatever order, the bytes are those of a rebuild from nothing."""

from __future__ import annotations

from random import Random

import pytest
from random_fleet import PLACE, edited, edits, fleet
from replay import Followed, View, rebuilt

import os
SEEDS = range(int(os.environ.get('S0','0')), int(os.environ.get('S1','10')))
EDITS = 100


def _assert_equal(found: View, expected: View, about: str) -> None:
    """Says what differs: two whole views would drown it."""
    for part, mine, theirs in zip(View._fields, found, expected, strict=True):
        differing = [k for k in {**mine, **theirs} if mine.get(k) != theirs.get(k)]
        details = [(k, _difference(mine.get(k), theirs.get(k))) for k in differing[:2]]
        assert not differing, f"{about}: {part} differ: {details}"


def _difference(mine: object, theirs: object) -> object:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return {k: (mine.get(k), theirs.get(k)) for k in {**mine, **theirs} if mine.get(k) != theirs.get(k)}
    return mine, theirs


@pytest.mark.spec("M-53", "R-1")
@pytest.mark.parametrize("seed", SEEDS)
def test_edits_give_what_a_rebuild_gives(seed: int) -> None:
    random = Random(seed)
    objects = fleet(random)
    followed = Followed(PLACE)
    followed.feed(objects.items())
    for number in range(EDITS):
        changes = edits(random)
        edited(objects, changes)
        followed.feed(changes)
        about = f"seed {seed}, edit {number}: {[(str(k), b is not None) for k, b in changes]}"
        _assert_equal(followed.view(), rebuilt(PLACE, objects), about)
