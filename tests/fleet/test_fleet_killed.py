"""A server that is killed in the middle of its work: nothing acknowledged is lost, nothing that is served goes away.
What it was about to do is done by the next one.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from agent.app import Agent
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet, effective, running_fleet
from tests.fleet.fleet_network import Answer, free_port, until
from tests.fleet.fleet_processes import Process
from tests.fleet.mortal import PLACES

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]


class _Watched:
    """What an agent serves its gateway, and what a client of that gateway sees, all the time."""

    def __init__(self, fleet: Fleet, agent: Agent) -> None:
        self._fleet, self._agent = fleet, agent
        self._first = effective(agent)
        self.lost: set[tuple[str, str]] = set()
        self.wrong: list[Answer] = []
        self.asked = 0

    async def run(self) -> None:
        while True:
            self.lost |= self._first.keys() - effective(self._agent).keys()
            answer = await self._fleet.get("east", "/hi")
            self.asked += 1
            if answer != Answer(200, "hi"):
                self.wrong.append(answer)


def _mortal(fleet: Fleet, relay: int, place: str, armed: Path) -> Process:
    """The harness' server with a place at which it dies."""
    plain = fleet.start_server_process(relay)
    plain.kill()
    _, _, _, *flags = plain.command
    return Process([sys.executable, "-m", "tests.fleet.mortal", place, str(armed), *flags], fleet.root / "mortal.log")


@pytest.mark.spec("M-43", "M-71")
@pytest.mark.parametrize("place", PLACES)
async def test_a_server_killed_in_the_middle_of_its_work_loses_nothing(tmp_path: Path, place: str) -> None:
    port, armed = free_port(), tmp_path / "armed"
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world()
        for number in range(20):
            fleet.write("west", f"w{number}.yaml", m.table(f"w{number}", [m.says("/", f"west {number}")]))
        await fleet.backend("east")
        mortal = _mortal(fleet, port, place, armed)
        try:
            await mortal.ready("mgmt.server.ready")
            east, west = [await fleet.start_agent(cluster, port) for cluster in fleet.clusters]
            fleet.start_envoy(east)
            await fleet.answers("east", "/cart", "east 0")
            await fleet.answers("east", "/", "west 19", host="w19.example")
            await until(lambda: east.push.in_step and west.push.in_step, why="all is acknowledged")
            watched = _Watched(fleet, east)
            watching = asyncio.create_task(watched.run())
            armed.touch()
            fleet.write_www("/basket")
            fleet.write("west", "late.yaml", m.table("late", [m.says("/", "late")]))
            await mortal.ended()
        finally:
            mortal.kill()
        assert "Traceback" not in mortal.said()
        # the agent that has told it is not there to tell it again: what is known of west is what Redis holds
        acknowledged = west.push.in_step
        again = fleet.start_server_process(port)
        ready = await again.ready("mgmt.server.ready")
        stored = await fleet.client.text(ready["admin"], "/snapshots/input?cluster=west&type=RouteTable")
        assert {f"w{number}" for number in range(20)} <= {w for w in stored.replace('"', " ").split()}
        assert not acknowledged or "late.example" in stored
        await fleet.answers("east", "/basket", "east 0")
        await fleet.answers("east", "/", "late", host="late.example")
        watching.cancel()
        await asyncio.wait([watching])
        assert watched.asked > 10
        assert (watched.lost, watched.wrong) == (set(), [])
