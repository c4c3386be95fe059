"""A new route to a new destination under steady load (design D15): Envoy never knows a route before its destination."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet, running_fleet
from tests.fleet.fleet_network import Answer, until

_ROUTES = 200
_HOST = "new.example"


def _destination(number: int) -> m.Object:
    """Every other one spans clusters."""
    if number % 2:
        return {"ref": {"name": f"s{number}", "namespace": "shop", "cluster": "east"}, "port": {"number": 8000}}
    return {"ref": {"name": f"s{number}", "namespace": "shop"}, "kind": "VIRTUAL_DESTINATION", "port": {"number": 80}}


async def _load(fleet: Fleet, seen: Counter[int]) -> None:
    while True:
        seen[(await fleet.get("east", "/cart")).status] += 1


async def _appears(fleet: Fleet, path: str) -> list[Answer]:
    """All answers from before the route up to the first right one."""
    answers = []
    end = time.monotonic() + 20
    while time.monotonic() < end:
        answers.append(await fleet.get("east", path, _HOST))
        if answers[-1].status == 200:
            return answers
    raise AssertionError(f"{path} never came: {answers[-1]}")


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
async def test_no_request_fails_while_routes_to_new_destinations_come_and_go(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        await fleet.backend("east")
        server = await fleet.start_server()
        names = [f"s{number}" for number in range(_ROUTES)]
        services = [o for name in names for o in m.service("east", name, [fleet.pod("east")])]
        fleet.write("east", "services.yaml", *services)
        own = [m.virtual_destination(name) for name in names[::2]]
        fleet.write("mgmt", "destinations.yaml", *own)
        fleet.write("mgmt", "new.yaml", m.table("new", [m.says("/none", "none")], host=_HOST))
        agent = await fleet.start_agent("east", server.relay.port)
        fleet.start_envoy(agent)
        await fleet.answers("east", "/cart", "east 0")
        await fleet.answers("east", "/none", "none", host=_HOST)
        await until(lambda: agent.push.in_step, why="all services are known")
        steady: Counter[int] = Counter()
        async with asyncio.TaskGroup() as group:
            load = group.create_task(_load(fleet, steady), name="load")
            for number in range(_ROUTES):
                window = range(max(0, number - 5), number + 1)  # older ones go again
                routes = [m.to(f"/r{n}-", _destination(n), f"r{n}") for n in window]
                fleet.write("mgmt", "new.yaml", m.table("new", routes, host=_HOST))
                answers = await _appears(fleet, f"/r{number}-")
                assert {a.status for a in answers} <= {404, 200}, f"route {number}: {answers}"
            load.cancel()
        assert set(steady) == {200}, steady
        assert steady[200] > _ROUTES
