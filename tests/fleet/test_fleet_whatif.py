"""What `whatif` says of a cluster before it goes is what requests meet once its gateway is killed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import running_fleet
from tests.fleet.fleet_network import Answer, until
from tests.fleet.fleet_processes import command

ONLY = {"ref": {"name": "only", "namespace": "shop"}, "kind": "VIRTUAL_DESTINATION", "port": {"number": 80}}
HOST = "only.example"


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
async def test_what_is_lost_and_what_is_answered_by_fewer(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world(m.virtual_destination("only"), m.table("only", [m.to("/only", ONLY)], host=HOST))
        fleet.write("west", "only.yaml", *m.service("west", "only", [fleet.pod("west", 1)]))
        for cluster, number in (("east", 0), ("west", 0), ("west", 1)):
            await fleet.backend(cluster, number)
        server = await fleet.start_server()
        proxies = {c: fleet.start_envoy(await fleet.start_agent(c, server.relay.port)) for c in fleet.clusters}
        await fleet.answers("east", "/only", "west 1", host=HOST)
        await fleet.answers("east", "/cart", "west 0")
        config = tmp_path / "contexts.yaml"
        m.write_text(config, f"{{current: f, contexts: {{f: {{server: 'http://127.0.0.1:{server.admin_port}'}}}}}}\n")
        code, said = await command("whatif", "--without", "west", "--config", str(config), "-o", "json")
        found = json.loads(said)["spec"]
        assert code == 1
        assert {(r["effect"], r["host"], tuple(r["now"]), tuple(r["gateways"])) for r in found["routes"]} == {
            ("lost", HOST, (), ("east",)),
            ("fewer", m.HOST, ("east",), ("east",)),
        }
        assert (found["gatewaysLost"], found["hostsLost"]) == (["west/gw/ingress"], [])
        proxies["west"].kill()

        async def fails() -> bool:
            return (await fleet.get("east", "/only", HOST)).status == 503

        await until(fails)
        assert {await fleet.get("east", "/cart") for _ in range(20)} == {Answer(200, "east 0")}
        assert {(await fleet.get("east", "/only", HOST)).status for _ in range(5)} == {503}
