"""Did it arrive (design D9): an Envoy that stands still is named, with the moment since when."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from mgmt.store.embedded import embedded_redis
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet, running_fleet
from tests.fleet.fleet_manifests import write_text
from tests.fleet.fleet_network import until
from tests.fleet.fleet_processes import command


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
async def test_wait_ends_with_4_and_names_the_envoy_that_stands_still(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world()
        server = await fleet.start_server()
        contexts = tmp_path / "contexts.yaml"
        write_text(
            contexts, f"current: fleet\ncontexts: {{fleet: {{server: 'http://127.0.0.1:{server.admin_port}'}}}}\n"
        )
        proxies = {c: fleet.start_envoy(await fleet.start_agent(c, server.relay.port)) for c in fleet.clusters}
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/hi", "hi")
        order = ("wait", "routetable", "shop/www", "--for", "applied", "--config", str(contexts), "--timeout")
        code, said = await command(*order, "20s")
        assert (code, "2/2 gateways" in said) == (0, True), said
        proxies["west"].signal(signal.SIGSTOP)
        stopped = time.time_ns()
        fleet.write_www("/basket")
        await until(lambda: "/basket" in str(server.translator.inputs["networking.gloo.solo.io/RouteTable"].items))
        code, said = await command(*order, "3s")
        assert code == 4, said
        assert "1/2 gateways" in said, said
        assert re.search(r"west/gw/ingress.*\b\d+s\b.*proxy gw/ingress/gw-0 has not acknowledged", said), said
        assert "east/gw/ingress" not in said
        state = server.publisher.arrivals.gateways["west", "gw/ingress"]
        assert stopped <= state.lagging_since_unix_nanos <= time.time_ns()
        proxies["west"].signal(signal.SIGCONT)
        code, said = await command(*order, "20s")
        assert (code, "2/2 gateways" in said) == (0, True), said


def _status(fleet: Fleet, cluster: str, name: str) -> dict[str, Any]:
    """Of a table that is written in the folder of `cluster`."""
    kept = fleet.root / f"agent-{cluster}" / "cluster" / "status" / "networking.gloo.solo.io_RouteTable" / "shop"
    file = kept / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
@pytest.mark.spec("M-57")
async def test_an_object_in_a_workload_cluster_tells_how_far_it_has_come(tmp_path: Path) -> None:
    """Its agent writes it, told by its own replica, also of gateways whose agents are at another one."""

    def arrival() -> Any:
        return _status(fleet, "east", "own").get("arrival", {})

    async with embedded_redis(tmp_path / "redis") as redis, running_fleet(tmp_path) as fleet:
        fleet.write_world()
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca"}
        first = await fleet.start_server(**shared, replica="first")
        second = await fleet.start_server(**shared, replica="second", state_dir=tmp_path / "second", directory=None)
        async with fleet.agent("east", second.relay.port) as east:
            fleet.write("east", "own.yaml", m.table("own", [m.says("/own", "in east")]))
            await until(lambda: _status(fleet, "east", "own").get("common"), 20, "what is found is written")
            west = await fleet.start_agent("west", first.relay.port)
            for agent in (east, west):
                fleet.start_envoy(agent)
            await fleet.answers("west", "/own", "in east", host="own.example")
            await until(lambda: arrival() == {"generation": 1, "gateways": "2/2"}, 20, lambda: f"told: {arrival()}")
            assert _status(fleet, "east", "own")["common"]["State"]["approval"] == "ACCEPTED"
        version = east.config_version
        async with fleet.agent("east", first.relay.port) as east:  # by another replica, and from the beginning
            await until(lambda: east.pull.connected and east.config_version >= version, 20, "it is back")
            fleet.write("mgmt", "fleet.yaml", *(m.registered(c) for c in fleet.clusters), m.workspace())
            await until(lambda: "arrival" not in _status(fleet, "east", "own"), 20, lambda: f"told: {arrival()}")
