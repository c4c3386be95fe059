"""`wait --for applied` in a pipeline: it goes on with the last cluster, not some time after it (C-45)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from fingerpost.relay.applied import ScopeApplied
from mgmt.admin import waiting
from mgmt.admin.objects import Wanted
from mgmt.admin.ports import Plane
from mgmt.app import Server
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, running_fleet
from tests.fleet.fleet_network import Spreader, until
from tests.fleet.fleet_processes import command

CLUSTERS = ("one", "two", "three")


class Told:
    """Notes when the server hears of an Applied, by cluster."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at: dict[str, float] = {}
        arrivals = server.publisher.arrivals
        hear = arrivals.applied

        def applied(cluster: str, version: int, scopes: Sequence[ScopeApplied]) -> None:
            if any(told.scope == GATEWAY for told in scopes):
                self.at[cluster] = time.monotonic()
            hear(cluster, version, scopes)

        monkeypatch.setattr(arrivals, "applied", applied)


def _questions(monkeypatch: pytest.MonkeyPatch) -> list[waiting.Verdict]:
    """What the server finds whenever it looks for somebody who waits."""
    found: list[waiting.Verdict] = []

    look = waiting.verdict

    def verdict(plane: Plane, what: Wanted, condition: waiting.Condition) -> waiting.Verdict:
        found.append(look(plane, what, condition))
        return found[-1]

    monkeypatch.setattr(waiting, "verdict", verdict)
    return found


@pytest.mark.fleet
@pytest.mark.redis
@pytest.mark.spec("C-45")
async def test_wait_returns_with_the_last_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_fleet(tmp_path, *CLUSTERS) as fleet:
        fleet.write_world()
        server = await fleet.start_server()
        told, questions = Told(server, monkeypatch), _questions(monkeypatch)
        async with Spreader(server.relay.port).running() as road:
            agents = [await fleet.start_agent(c, road.port if c == "three" else server.relay.port) for c in CLUSTERS]
            await until(lambda: all(a.push.in_step for a in agents), why="all are in step")
            await until(lambda: told.at.keys() == {*CLUSTERS}, why="all have the first state")
            config = tmp_path / "contexts.yaml"
            m.write_text(
                config, f"current: fleet\ncontexts: {{fleet: {{server: 'http://127.0.0.1:{server.admin_port}'}}}}"
            )
            took = []
            for edit in range(3):
                road.move()
                await until(lambda: not agents[2].pull.connected, why="three is away")
                told.at.clear()
                questions.clear()
                fleet.write_www(f"/edit-{edit}")
                await until(lambda: told.at.keys() == {"one", "two"}, why="two of three have it")
                asked = asyncio.create_task(
                    command("wait", "rt", "shop/www", "--for", "applied", "--timeout", "40s", "--config", str(config)),
                    name="test.wait",
                )
                await until(lambda: questions, 30, "the question is there")
                assert not asked.done()
                road.move(server.relay.port)
                code, said = await asked
                took.append(time.monotonic() - told.at["three"])
                assert code == 0, said
                assert "3/3 gateways" in said
            # The quickest, since the command has to end too, on a machine that may be busy.
            assert min(took) < 1.0, took
