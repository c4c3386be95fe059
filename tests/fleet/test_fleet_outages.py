"""The data plane outlives the management plane (design D7), and what is stored survives the death of both processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import effective, running_fleet
from tests.fleet.fleet_network import free_port, until

pytestmark = [pytest.mark.fleet, pytest.mark.redis]


@pytest.mark.spec("M-43")
async def test_what_is_stored_survives_the_sigkill_of_server_and_redis(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        server = fleet.start_server_process()
        ready = await server.ready("mgmt.server.ready")
        agent = await fleet.start_agent("east", ready["relay"])
        await until(lambda: agent.push.in_step, why="the agent is in step")
        redis = int((tmp_path / "mgmt" / "redis" / "redis.pid").read_text())
        stored: list[bool] = []

        def kill_both(_version: int) -> None:
            if not stored:
                server.signal(signal.SIGKILL)
                os.kill(redis, signal.SIGKILL)
                stored.append(True)

        agent.push._on_stored = kill_both  # called while Stored is being read
        fleet.write("east", "late.yaml", m.table("late", [m.says("/late", "late")]))
        await until(lambda: stored, why="Stored has come")
        server.kill()
        again = fleet.start_server_process()  # on another port: the agent cannot bring it once more
        ready = await again.ready("mgmt.server.ready")
        found = await fleet.client.text(ready["admin"], "/snapshots/input?cluster=east&type=RouteTable")
        assert "late.example" in found
        assert '"state":"Cached"' in found.replace(" ", "")


@pytest.mark.envoy
@pytest.mark.spec("M-9", "M-10", "D-15")
async def test_gateways_go_on_without_the_server(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        for pod in range(3):
            await fleet.backend("east", pod)
        server = fleet.start_server_process()
        ready = await server.ready("mgmt.server.ready")
        async with fleet.agent("east", ready["relay"]) as agent:
            proxy = fleet.start_envoy(agent)
            await fleet.answers("east", "/cart", "east 0")
            server.signal(signal.SIGSTOP)
            fleet.write("east", "cart.yaml", *m.service("east", "cart", [fleet.pod("east", 1)]))
            await fleet.answers("east", "/cart", "east 1")
            server.kill()
            served = effective(agent)
        proxy.kill()
        async with fleet.agent("east", free_port()) as agent:
            assert effective(agent) == served
            fleet.start_envoy(agent, "gw-1")
            await fleet.answers("east", "/cart", "east 1")
            fleet.write("east", "cart.yaml", *m.service("east", "cart", [fleet.pod("east", 2)]))
            await fleet.answers("east", "/cart", "east 2")
