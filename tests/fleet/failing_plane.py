"""A working plane of two clusters whose parts a test takes away one by one, and the requests that must not notice
(relay.md §11).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from agent.app import Agent
from fingerpost.secrets.folder import FolderSecrets
from mgmt.app import Server
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet
from tests.fleet.fleet_network import Answer, Spreader, free_port, until
from tests.unit.relay.tls_support import CLIENT, ROOT, SERVER, OpenSsl

CLUSTERS = ("east", "west")
REQUESTS = 1000
_AT_ONCE = 4
_BROUGHT = {"disable_ca": True, "disable_ca_cert_generation": True}


class Plane:
    """Certificates are brought, so that a test can bring others."""

    server: Server

    def __init__(self, fleet: Fleet, road: Spreader, **settings: Any) -> None:
        self.fleet, self.road, self._settings = fleet, road, settings
        self.ssl = OpenSsl(fleet.root / "ssl")
        self.agents: dict[str, Agent] = {}
        self._relay, self._edits = free_port(), 0
        self.xds = {cluster: free_port() for cluster in CLUSTERS}
        self._server = AsyncExitStack()
        self._agents: dict[str, AsyncExitStack] = {cluster: AsyncExitStack() for cluster in CLUSTERS}

    async def bring(self, ssl: OpenSsl) -> None:
        own = FolderSecrets(self.fleet.secrets("mgmt"))
        await own.put(ROOT, {"ca.crt": ssl.root})
        await own.put(SERVER, ssl.leaf("*.gloo-mesh", "serverAuth"))
        for cluster in CLUSTERS:
            theirs = FolderSecrets(self.fleet.secrets(cluster))
            await theirs.put(ROOT, {"ca.crt": ssl.root})
            await theirs.put(CLIENT, ssl.leaf(cluster))

    async def start_server(self) -> None:
        address = f"127.0.0.1:{self._relay}"
        given = {"relay_address": address, **_BROUGHT, **self._settings}
        self.server = await self._server.enter_async_context(self.fleet.server(**given))
        self.reconnect()

    async def stop_server(self) -> None:
        await self._server.aclose()

    def cut(self) -> None:
        self.road.move()

    def reconnect(self) -> None:
        self.road.move(self._relay)

    def agent_settings(self, cluster: str) -> dict[str, Any]:
        return {"xds_address": f"127.0.0.1:{self.xds[cluster]}", **self._settings}

    async def start_agent(self, cluster: str) -> Agent:
        running = self.fleet.agent(cluster, self.road.port, **self.agent_settings(cluster))
        self.agents[cluster] = await self._agents[cluster].enter_async_context(running)
        return self.agents[cluster]

    async def stop_agent(self, cluster: str) -> None:
        await self._agents[cluster].aclose()

    async def healthy(self) -> None:
        """What a person writes reaches both gateways."""
        self._edits += 1
        text = f"edit {self._edits}"
        await self.say(text)
        for cluster in CLUSTERS:
            await self.fleet.answers(cluster, "/", text, 60, host="probe.example")

    async def say(self, text: str) -> None:
        self.fleet.write("mgmt", "probe.yaml", m.table("probe", [m.says("/", text)]))

    async def close(self) -> None:
        for stack in (*self._agents.values(), self._server):
            await stack.aclose()


@asynccontextmanager
async def running_plane(fleet: Fleet, **settings: Any) -> AsyncIterator[Plane]:
    """`settings` are for server and agents."""
    for cluster in CLUSTERS:
        await fleet.backend(cluster)
    async with Spreader().running() as road:
        plane = Plane(fleet, road, **settings)
        try:
            await plane.bring(plane.ssl)
            await plane.start_server()
            for cluster in CLUSTERS:
                fleet.start_envoy(await plane.start_agent(cluster))
            for cluster in CLUSTERS:
                for other in CLUSTERS:
                    await fleet.answers(cluster, "/cart", f"{other} 0", 40)
            yield plane
        finally:
            await plane.close()


async def unharmed(fleet: Fleet) -> None:
    """A thousand requests at both gateways, for pods of both clusters, and none fails."""
    good = {Answer(200, f"{cluster} 0") for cluster in CLUSTERS}
    wrong: list[tuple[str, Answer]] = []
    seen: set[Answer] = set()

    async def ask(count: int) -> None:
        for number in range(count):
            cluster = CLUSTERS[number % 2]
            answer = await fleet.get(cluster, "/cart")
            seen.add(answer)
            if answer not in good:
                wrong.append((cluster, answer))

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(ask(REQUESTS // _AT_ONCE), name="test.requests")
    assert not wrong, (len(wrong), wrong[0])
    assert seen == good


async def away(agent: Agent) -> None:
    await until(lambda: not agent.pull.connected, why="the agent is not connected")
