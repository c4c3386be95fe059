"""The soak on real API servers, as short as `make test-cluster` can bear it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos.api_servers import ApiServers, api_kinds
from tests.chaos.faults import kinds
from tests.chaos.story import names, tell_story

_CLUSTERS = 2


@pytest.mark.alone
@pytest.mark.timeout(600)
@pytest.mark.spec("M-9", "M-13", "M-20", "M-39", "M-40", "M-41", "M-50")
async def test_nothing_is_lost_and_nothing_deleted_whatever_fails(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    source = ApiServers(tmp_path / "servers", names(_CLUSTERS))
    outcome = await tell_story(
        tmp_path,
        seed=seed,
        faults=40,
        clusters=_CLUSTERS,
        chances=lambda fleet: kinds(fleet) + api_kinds(source),
        every=0.4,
        source=source,
        tell=print,
    )
    assert outcome.good, f"seed {seed}: {outcome}"
