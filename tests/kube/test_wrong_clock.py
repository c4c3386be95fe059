"""An agent whose clock is wrong, on a real API server: with a Lease, certificates, and what it keeps in the cluster."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mgmt.app import Server
from tests.fleet import clockwork
from tests.fleet.fleet_harness import GATEWAY
from tests.fleet.fleet_network import free_port, until
from tests.fleet.fleet_processes import envoy
from tests.kube.kube_fleet import KubeFleet, running_kube_fleet

_HOUR = 3600.0


async def _edited(fleet: KubeFleet, server: Server, path: str) -> None:
    """An edit arrives at the gateway, and its object says so."""
    await fleet.apply("mgmt", fleet.www(path))
    await fleet.answers("east", path, "east 0", 40)
    generation = (await fleet.kubes["mgmt"].get(fleet.www("")))["metadata"]["generation"]

    async def told() -> bool:
        status = (await fleet.kubes["mgmt"].get(fleet.www(""))).get("status", {})
        return bool(status.get("arrival") == {"generation": generation, "gateways": "1/1"})

    await until(told, 20, "its status says that it has arrived")
    assert server.leads


@pytest.mark.spec("M-71")
async def test_an_agent_an_hour_ahead_is_as_good_as_any_and_so_is_who_leads_after_it(tmp_path: Path) -> None:
    """Its certificate is of the server's clock, its Lease is renewed in the future."""
    async with running_kube_fleet(tmp_path, "east") as fleet:
        await fleet.apply_world()
        await fleet.backend("east")
        server = await fleet.start_server()
        given = {"leader_election": True, "xds_address": f"127.0.0.1:{free_port()}"}
        settings = msgspec.structs.replace(fleet.agent_settings("east", server.relay.port), **given)
        ahead = clockwork.started("agent", tmp_path / "ahead.log", settings, _HOUR)
        try:
            admin = (await ahead.ready("agent.ready"))["admin"]
            query = f"gateway={GATEWAY}&bind={fleet.address('east')}&instance=gw-0"
            proxy = envoy(tmp_path, "envoy", await fleet.client.json(admin, f"/bootstrap?{query}"))
            try:
                await _edited(fleet, server, "/first")
                ahead.kill()  # its Lease stays
                async with fleet.agent("east", server.relay.port, **given) as agent:
                    await _edited(fleet, server, "/second")
                    await until(agent.link.leads, 30, "by its own clock the Lease is over")
            finally:
                proxy.kill()
        finally:
            ahead.kill()
