"""A workload cluster that nothing can connect to. It is a folder with an agent and an Envoy of their own network; what
goes out of that network is the relay alone.
"""

from __future__ import annotations

import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.xds.bootstrap import bootstrap
from agent.xds.tokens import Tokens
from fingerpost.cluster.directory.statuses import StatusFiles
from fingerpost.objects import ObjectKey
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, running_fleet
from tests.fleet.fleet_network import until
from tests.fleet.fleet_processes import ENVOY, Process
from tests.kube.enclosed import Enclosed, enclosed

_RELAY, _XDS, _ADMIN = 9900, 9977, 9988
TABLE = "networking.gloo.solo.io/RouteTable"


def _agent(fleet: Fleet, network: Enclosed) -> Process:
    flags = {
        "cluster": "east",
        "directory": fleet.folder("east"),
        "state-dir": fleet.root / "agent-east",
        "secrets-dir": fleet.secrets("east"),
        "server-address": f"127.0.0.1:{_RELAY}",
        "xds-address": f"127.0.0.1:{_XDS}",
        "admin-address": f"127.0.0.1:{_ADMIN}",
        "retry-ceiling": 0.2,
        "heartbeat": 1.0,
    }
    words = network.inside(sys.executable, "-m", "agent", *(f"--{name}={value}" for name, value in flags.items()))
    return Process(words, fleet.root / "agent.log")


def _envoy(fleet: Fleet, network: Enclosed) -> Process:
    token = Tokens(fleet.root / "agent-east" / "tokens").ensure(GATEWAY)
    config = bootstrap(f"127.0.0.1:{_XDS}", GATEWAY, "east", token, bind=fleet.address("east"), instance="gw-0")
    file = fleet.root / "envoy.json"
    file.write_text(json.dumps(config))
    return Process(network.inside(ENVOY, "-c", str(file), "--use-dynamic-base-id"), fleet.root / "envoy.log")


async def _reached(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        try:
            return (await client.get(url)).status_code > 0
        except httpx.TransportError:
            return False


@pytest.mark.spec("M-1")
async def test_a_cluster_without_a_way_in_registers_is_configured_and_reports(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet, enclosed(tmp_path) as network, AsyncExitStack() as stack:
        fleet.write_world()
        fleet.write("east", "own.yaml", m.table("own", [m.says("/hi", "own")]))
        gateway = f"http://{fleet.address('east')}:{m.HTTP_PORT}/hi"
        server = await fleet.start_server()
        agent = _agent(fleet, network)
        stack.push_async_callback(agent.stop)
        await agent.ready("agent.ready")
        assert await network.get(gateway, m.HOST) != "hi", "there is no way out yet either"
        await stack.enter_async_context(network.way_out(_RELAY, server.relay.port))
        stack.callback(_envoy(fleet, network).kill)

        async def answers(host: str, text: str) -> None:
            last = [""]

            async def asked() -> bool:
                last[0] = await network.get(gateway, host)
                return last[0] == text

            await until(asked, 30, lambda: f"{text!r} from {host}: {last}; {agent.said()[-1500:]}")

        await answers(m.HOST, "hi")
        await answers("own.example", "own")
        assert (fleet.secrets("east") / "relay-client-tls-secret").exists(), "it has registered by its token"
        fleet.write("mgmt", "www.yaml", m.table("www", [m.says("/hi", "changed")], host=m.HOST))
        await answers(m.HOST, "changed")

        statuses = StatusFiles(tmp_path / "agent-east" / "cluster" / "status")
        path = statuses.path(ObjectKey(TABLE, "east", "shop", "own"))
        await until(lambda: path.exists() and '"ACCEPTED"' in path.read_text(), why="the status of its own table")

        async def arrived() -> bool:
            found: Any = await fleet.client.json(server.admin_port, "/objects?kind=RouteTable&name=www")
            arrival = found["items"][0]["status"]["arrival"]
            return (arrival["arrived"], arrival["total"]) == (1, 1)

        await until(arrived, 30, "it tells that the table of the management cluster is in force")

        links = json.loads(await network.said("ip", "-json", "link"))
        assert [link["ifname"] for link in links] == ["lo"], "nothing outside is linked with it"
        assert await network.get(f"http://127.0.0.1:{_ADMIN}/healthz", "agent") != "", "inside it answers"
        for url in (f"http://127.0.0.1:{_XDS}", f"http://127.0.0.1:{_ADMIN}/healthz", gateway):
            assert not await _reached(url), f"{url} answers from outside"
        assert network.carried > 0, "all of it went by the way out"
