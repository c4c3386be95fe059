"""The soak, as short as `make test` can bear it; and that it finds what it is there to find."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.faults import kinds
from tests.chaos.story import tell_story

pytestmark = [pytest.mark.fleet, pytest.mark.redis]


@pytest.mark.timeout(600)
@pytest.mark.spec("M-9", "M-13", "M-17", "M-20", "M-39", "M-40", "M-41", "M-43", "M-50")
async def test_nothing_is_lost_and_nothing_deleted_whatever_fails(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    outcome = await tell_story(tmp_path, seed=seed, faults=200, tell=print)
    assert outcome.good, f"`make chaos SEED={seed}` tells it again: {outcome}"
    assert outcome.faults >= 200


@pytest.mark.timeout(300)
@pytest.mark.spec("M-50")
async def test_the_soak_finds_agents_that_believe_an_empty_snapshot(tmp_path: Path) -> None:
    """On a machine that has much else to do a short story may never look while something is away."""
    found = 0
    for seed in range(1, 8):
        outcome = await tell_story(
            tmp_path / str(seed),
            seed=seed,
            faults=12,
            clusters=2,
            agent="tests.chaos.unguarded",
            chances=partial(kinds, only=("EmptySnapshot",)),
        )
        assert outcome.converged, "what was deleted comes back"
        found += outcome.false_deletes
        if found > 20:
            break
    assert found > 20
