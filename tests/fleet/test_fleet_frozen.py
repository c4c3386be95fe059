"""A replica that stands still and wakes up: meanwhile another one does its work, and afterwards it disturbs nobody."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from mgmt.store.embedded import embedded_redis
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import effective, running_fleet
from tests.fleet.fleet_network import Spreader, settled, until

pytestmark = [pytest.mark.fleet, pytest.mark.redis]


@pytest.mark.envoy
@pytest.mark.spec("M-63", "M-77")
async def test_a_frozen_server_is_done_without_and_writes_nothing_when_it_wakes(tmp_path: Path) -> None:
    """It read the management cluster and had an agent. Its lease is that in Redis, since the cluster is a folder."""
    async with embedded_redis(tmp_path / "redis") as redis, running_fleet(tmp_path) as fleet:
        fleet.write_world()
        (fleet.folder("west") / "cart.yaml").unlink()  # there no Envoy lets anybody in
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca", "lease": 2.0}
        frozen = fleet.start_server_process(replica="frozen", state_dir=tmp_path / "frozen", **shared)
        ready = await frozen.ready("mgmt.server.ready")
        other = await fleet.start_server(**shared, replica="other", state_dir=tmp_path / "other")
        async with Spreader(ready["relay"]).running() as service:
            east = await fleet.start_agent("east", service.port)
            west = await fleet.start_agent("west", other.relay.port)
            await fleet.backend("east")
            fleet.start_envoy(east)
            await fleet.answers("east", "/cart", "east 0")
            await until(lambda: west.push.in_step and east.push.in_step)
            service.ports.append(other.relay.port)  # only now: the agent is at the one that will be frozen
            statuses = tmp_path / "frozen" / "cluster" / "status"
            await settled(lambda: _written(statuses), 1)
            assert _written(statuses), "it leads"
            assert not other.leads
            served = effective(east)

            frozen.signal(signal.SIGSTOP)
            before = _written(statuses)
            await until(lambda: not east.pull.connected, 20, "the agent hears nothing any more")
            service.ports.remove(ready["relay"])  # as a Service, to which it is not ready
            await until(lambda: other.leads, 20, "another one leads")
            fleet.write("east", "late.yaml", m.table("late", [m.says("/late", "written meanwhile")]))
            fleet.write_www("/basket")
            (fleet.folder("mgmt") / "none.yaml").write_text("")  # an event for the one that sleeps
            await fleet.answers("east", "/late", "written meanwhile", 40, host="late.example")
            await fleet.answers("east", "/basket", "east 0")
            written = {path for path in _written(tmp_path / "other" / "cluster" / "status") if "www" in path}
            assert written, "the one that leads says so in the status"

            frozen.signal(signal.SIGCONT)
            await until(lambda: "relay.stream.ended" in frozen.said(), 20, frozen.said)

            async def agree() -> bool:
                says = [
                    await fleet.client.json(port, "/snapshots/input") for port in (ready["admin"], other.admin_port)
                ]
                there, here = (json.dumps(said["clusters"], sort_keys=True) for said in says)
                return there == here and '"/basket"' in here

            await until(agree, 20, "both hold the same inputs")
            await settled(lambda: _written(statuses), 2)
            assert _written(statuses) == before, "no write of a leader"
            assert other.leads
            assert await fleet.get("east", "/basket") == (200, "east 0")
            now = effective(east)
            assert {key[0] for key, digest in served.items() if now.get(key) != digest} <= {"routes"}


def _written(folder: Path) -> dict[str, int]:
    found = [path for path in folder.rglob("*") if not path.name.startswith(".") and path.is_file()]
    return {str(path): path.stat().st_mtime_ns for path in found}
