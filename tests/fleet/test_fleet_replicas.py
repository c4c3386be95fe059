"""Two replicas on one Redis, half of the agents on each."""

from __future__ import annotations

from pathlib import Path

import pytest

from mgmt.store.embedded import embedded_redis
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import running_fleet


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
async def test_an_edit_that_one_server_sees_is_live_in_an_envoy_of_the_other(tmp_path: Path) -> None:
    async with embedded_redis(tmp_path / "redis") as redis, running_fleet(tmp_path) as fleet:
        fleet.write_world()
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca"}
        first = await fleet.start_server(**shared, replica="first")
        second = await fleet.start_server(**shared, replica="second", state_dir=tmp_path / "second", directory=None)
        east = await fleet.start_agent("east", first.relay.port)
        west = await fleet.start_agent("west", second.relay.port)
        for agent in (east, west):
            fleet.start_envoy(agent)
        for cluster in ("east", "west"):
            await fleet.backend(cluster)
            await fleet.answers(cluster, "/cart", f"{cluster} 0")
        fleet.write_www("/basket")  # only the first server reads the folder of the management cluster
        await fleet.answers("west", "/basket", "west 0")
        fleet.write("west", "own.yaml", m.table("own", [m.says("/own", "written in west")]))  # goes to the second one
        await fleet.answers("east", "/own", "written in west", host="own.example")
        assert {c for c in fleet.clusters if first.ingest.owns(c)} == {"east"}
        assert {c for c in fleet.clusters if second.ingest.owns(c)} == {"west"}
