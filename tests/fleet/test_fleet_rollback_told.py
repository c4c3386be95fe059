"""What tells of a rollback, while one cluster is rolled back and after: each command of the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fleet.fleet_harness import Fleet, running_fleet
from tests.fleet.fleet_person import Person, started

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]


class _Back(NamedTuple):
    """`west` is at snapshot `then`, with /cart; it was edited to /basket in snapshot `now`."""

    fleet: Fleet
    person: Person
    then: int
    now: int
    name: str


@asynccontextmanager
async def _west_is_back(root: Path) -> AsyncIterator[_Back]:
    async with running_fleet(root) as fleet:
        fleet.write_world()
        _, person = await started(fleet)
        then = await person.newest()
        fleet.write_www("/basket")
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/basket", f"{cluster} 0")
        now = await person.newest()
        order = await person.asks("rollback", str(then), "--cluster", "west")
        await fleet.answers("west", "/cart", "west 0")
        yield _Back(fleet, person, then, now, order["spec"]["rollback"]["id"])


async def test_the_name_of_a_rollback_is_never_the_number_of_a_snapshot(tmp_path: Path) -> None:
    async with _west_is_back(tmp_path) as (fleet, person, then, now, name):
        assert name == f"r{now}", "it is made of the version at which it was asked for"
        code, said = await person.says("rollback", name)
        assert code == 2
        assert f"fingerpost rollback release {name} ends it" in said
        second = (await person.asks("rollback", str(now), "--cluster", "east"))["spec"]["rollback"]["id"]
        code, said = await person.says("rollback", "release", str(now))
        both = f"{name} (to snapshot {then}), or {second} (to snapshot {now})"
        assert (code, said.splitlines()[0]) == (2, f"error: {now} can be {both}; give the name with its r")
        code, said = await person.says("rollback", "release", str(then))
        assert code == 2
        assert f"no rollback {then} is active: {second} to snapshot {now}, {name} to snapshot {then}" in said
        assert (await person.says("rollback", "release", second))[0] == 0
        code, said = await person.says("rollback", "release", name.removeprefix("r"))
        assert (code, said.startswith(f"released rollback {name}: cluster west")) == (0, True), said
        await fleet.answers("west", "/basket", "west 0")
