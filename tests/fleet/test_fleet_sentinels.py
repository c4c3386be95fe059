"""Redis behind Sentinels loses its master: the server goes on, and what was acknowledged is there afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from fingerpost.objects import ObjectKey
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import effective, running_fleet
from tests.fleet.fleet_network import until
from tests.sentinels import asked, watched_redis

pytestmark = [pytest.mark.fleet, pytest.mark.redis]
TABLES = "networking.gloo.solo.io/RouteTable"
OWN = ObjectKey(TABLES, "east", "shop", "own")


def _own(says: str) -> m.Object:
    return m.table("own", [m.says("/own", says)])


@pytest.mark.spec("M-40")
async def test_a_server_goes_on_while_another_redis_becomes_the_master(tmp_path: Path) -> None:
    async with watched_redis(tmp_path / "watched") as redis, running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        server = await fleet.start_server(redis_url=redis.url)
        agent = await fleet.start_agent("east", server.relay.port)
        await until(lambda: effective(agent) and agent.push.in_step, why="all is served and stored")
        before, seq = effective(agent), server.ingest.seq
        redis.kill_master()
        await until(lambda: not server.ingest.synced, why="the server has noticed")
        fleet.write("east", "own.yaml", _own("meanwhile"))
        await until(lambda: effective(agent) != before, why="an edit is served with no Redis")
        await until(lambda: server.ingest.synced, 30, "the server has found the new master")
        assert await redis.promoted()
        await until(lambda: agent.push.in_step, why="what was written meanwhile is stored")
        assert server.ingest.seq > seq
        found = await asked(redis.ports[1], "HGET", f"fp:1:{{fp}}:in:east\0{TABLES}", "shop/own")
        assert found is not None
        assert "meanwhile" in found


async def test_what_was_acknowledged_outlives_server_and_master_together(tmp_path: Path) -> None:
    """The agent is away too, so nobody but the replica can know of it."""
    async with watched_redis(tmp_path / "watched") as redis, running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        async with (
            fleet.server(redis_url=redis.url, replica="first") as first,
            fleet.agent("east", first.relay.port) as agent,
        ):
            fleet.write("east", "own.yaml", _own("acknowledged"))
            await until(lambda: first.ingest.inputs.get(OWN) is not None and agent.push.in_step, why="it is stored")
            redis.kill_master()
        await until(redis.promoted, 30, "the replica is the master")
        second = await fleet.start_server(redis_url=redis.url, replica="second")
        await until(lambda: second.ingest.synced, 20)
        found = second.ingest.inputs.get(OWN)
        assert found is not None
        assert b"acknowledged" in found.body
