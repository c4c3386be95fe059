"""Whatever was edited in whatever order, the bytes are those of a rebuild from nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

import pytest
from random_fleet import PLACE, edited, edits, fleet
from replay import Followed, View, rebuilt

SEEDS = range(10)
EDITS = 100


def _assert_equal(found: View, expected: View, about: str) -> None:
    """Says what differs: two whole views would drown it."""
    for part in View._fields:
        mine, theirs = getattr(found, part), getattr(expected, part)
        differing = [k for k in {**mine, **theirs} if mine.get(k) != theirs.get(k)]
        details = [(k, _difference(mine.get(k), theirs.get(k))) for k in differing[:2]]
        assert not differing, f"{about}: {part} differ: {details}"


def _difference(mine: Any, theirs: Any) -> Any:
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


@pytest.mark.spec("M-52", "R-1", "R-2")
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_arrival_never_shows(seed: int) -> None:
    random = Random(1000 + seed)
    objects = fleet(random)
    expected = rebuilt(PLACE, objects)
    for order in range(20):
        items = random.sample(list(objects.items()), len(objects))
        followed = Followed(PLACE)
        size = len(items) if order % 2 else random.randint(1, len(items))
        for start in range(0, len(items), size):
            followed.feed(items[start : start + size])
        _assert_equal(followed.view(), expected, f"seed {seed}, order {order}, {size} objects a turn")


def fingerprint(seed: int) -> str:
    random = Random(seed)
    objects = fleet(random)
    followed = Followed(PLACE)
    followed.feed(objects.items())
    for _ in range(20):
        followed.feed(edits(random))
    view = followed.view()
    parts = [repr(sorted(part.items(), key=lambda item: str(item[0]))) for part in (view.digests, view.statuses)]
    resources = {g: sorted((k, v[2]) for k, v in held.items()) for g, held in view.gateways.items()}
    return blake2b("".join((*parts, repr(sorted(resources.items())))).encode()).hexdigest()


@pytest.mark.spec("M-52", "R-1")
def test_the_hash_seed_of_the_process_never_shows() -> None:
    code = "from test_incremental_equals_full import fingerprint; print(fingerprint(7), fingerprint(8))"
    found = set()
    for hash_seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            env={**env, "PYTHONPATH": os.pathsep.join((*sys.path, str(Path(__file__).parents[2])))},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
