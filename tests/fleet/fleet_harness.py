"""A fleet on loopback: folders of manifests, servers and agents in this process or as their own, real Redis, real
Envoys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from agent.app import Agent
from agent.running import running_agent
from agent.settings import Settings as AgentSettings
from agent.xds.bootstrap import bootstrap
from fingerpost.secrets.folder import FolderSecrets
from fingerpost.telemetry import Telemetry
from mgmt.app import Server
from mgmt.ingest.values import State
from mgmt.relay.secrets import Plan as SecretPlan
from mgmt.relay.secrets import RelaySecrets
from mgmt.running import running_server
from mgmt.settings import Settings as ServerSettings
from tests.fleet import fleet_manifests as m
from tests.fleet import fleet_processes as processes
from tests.fleet.fleet_network import Addresses, Answer, Client, backend, free_block, free_port, until
from tests.orphans import kill_redis

GATEWAY = "gw/ingress"
_HEARTBEAT = 1.0
_LIMIT = 90.0  # seconds for a whole test


class Fleet:
    """Clusters are numbered from 1 in the order of `clusters`; everything that is started ends with the fleet."""

    def __init__(self, root: Path, clusters: tuple[str, ...], block: Addresses, stack: AsyncExitStack) -> None:
        self.root, self.clusters, self.block = root, clusters, block
        self.client = Client()
        self.telemetry = Telemetry("fleet", "0")
        self._stack = stack

    # ---------------------------------------------------------------- the world

    def folder(self, cluster: str) -> Path:
        return self.root / "clusters" / cluster

    def secrets(self, cluster: str) -> Path:
        return self.root / "secrets" / cluster

    async def make_secrets(self) -> None:
        """The server's, as it would make them itself, and what a person copies from there to the clusters (relay.md
        §4.2, way 2): so agents may start first.
        """
        own = FolderSecrets(self.secrets("mgmt"))
        await RelaySecrets(own, SecretPlan()).begin()
        for cluster in self.clusters:
            await enroll(own, FolderSecrets(self.secrets(cluster)))

    def number(self, cluster: str) -> int:
        return self.clusters.index(cluster) + 1

    def address(self, cluster: str) -> str:
        return self.block.gateway(self.number(cluster))

    def pod(self, cluster: str, number: int = 0) -> str:
        return self.block.pod(self.number(cluster), number)

    def write(self, cluster: str, file: str, *objects: m.Object) -> None:
        m.write(self.folder(cluster) / file, *objects)

    def write_world(self, *more: m.Object) -> None:
        """Every cluster registered with a gateway and a `cart` pod, one workspace, one virtual gateway, one table."""
        own = [m.registered(c) for c in self.clusters]
        self.write("mgmt", "fleet.yaml", *own, m.workspace(), m.virtual_gateway(), m.virtual_destination("cart"), *more)
        self.write_www("/cart")
        for cluster in self.clusters:
            self.write_cluster(cluster)

    def write_cluster(self, cluster: str) -> None:
        self.write(cluster, "gateway.yaml", *m.gateway(cluster, self.address(cluster)))
        self.write(cluster, "cart.yaml", *m.service(cluster, "cart", [self.pod(cluster)]))

    def write_www(self, path: str) -> None:
        self.write("mgmt", "www.yaml", m.table("www", [m.to(path, m.CART), m.says("/hi", "hi")], host=m.HOST))

    async def backend(self, cluster: str, number: int = 0) -> list[str]:
        where = self.pod(cluster, number)
        return await self._stack.enter_async_context(backend(where, f"{cluster} {number}"))

    # ---------------------------------------------------------------- what runs

    def server_settings(self, **changed: Any) -> ServerSettings:
        return ServerSettings(
            **{
                "state_dir": self.root / "mgmt",
                "directory": self.folder("mgmt"),
                "relay_address": "127.0.0.1:0",
                "admin_address": "127.0.0.1:0",
                "heartbeat": _HEARTBEAT,
                "drain_spread": 0.0,
                "secrets_dir": self.secrets("mgmt"),
                **changed,
            }
        )

    @asynccontextmanager
    async def server(self, **changed: Any) -> AsyncIterator[Server]:
        async with running_server(self.server_settings(**changed), self.telemetry) as server:
            yield server

    async def start_server(self, **changed: Any) -> Server:
        return await self._stack.enter_async_context(self.server(**changed))

    def agent_settings(self, cluster: str, relay: int) -> AgentSettings:
        return AgentSettings(
            cluster=cluster,
            directory=self.folder(cluster),
            state_dir=self.root / f"agent-{cluster}",
            server_address=f"127.0.0.1:{relay}",
            xds_address="127.0.0.1:0",
            admin_address="127.0.0.1:0",
            retry_ceiling=0.2,
            heartbeat=_HEARTBEAT,
            secrets_dir=self.secrets(cluster),
        )

    @asynccontextmanager
    async def agent(self, cluster: str, relay: int, **changed: Any) -> AsyncIterator[Agent]:
        settings = msgspec.structs.replace(self.agent_settings(cluster, relay), **changed)
        async with running_agent(settings, self.telemetry) as agent:
            yield agent

    async def start_agent(self, cluster: str, relay: int, **changed: Any) -> Agent:
        return await self._stack.enter_async_context(self.agent(cluster, relay, **changed))

    def start_server_process(self, relay: int = 0, **flags: object) -> processes.Process:
        state = self.root / "mgmt"
        settings = {
            "state_dir": state,
            "directory": self.folder("mgmt"),
            "relay_address": f"127.0.0.1:{relay or free_port()}",
            "admin_address": "127.0.0.1:0",
            "heartbeat": _HEARTBEAT,
            "drain_spread": 0,
            "secrets_dir": self.secrets("mgmt"),
            **flags,
        }
        self._stack.callback(kill_redis, state / "redis")
        given = {name: value for name, value in settings.items() if value is not None}
        process = processes.module("mgmt", self.root / "mgmt.log", **given)
        self._stack.push_async_callback(process.stop)
        return process

    def start_envoy(
        self, agent: Agent, instance: str = "gw-0", *, admin_port: int = 0, token: str = ""
    ) -> processes.Process:
        config = bootstrap(
            f"127.0.0.1:{agent.xds_port}",
            GATEWAY,
            agent.cluster,
            token or agent.tokens.ensure(GATEWAY),
            bind=self.address(agent.cluster),
            admin_port=admin_port,
            instance=instance,
        )
        process = processes.envoy(self.root, f"envoy-{agent.cluster}-{instance}", config)
        self._stack.callback(process.kill)
        return process

    # ---------------------------------------------------------------- questions

    async def get(self, cluster: str, path: str, host: str = m.HOST) -> Answer:
        return await self.client.get(self.address(cluster), path, host)

    async def answers(self, cluster: str, path: str, text: str, timeout: float = 20, host: str = m.HOST) -> None:
        """Until the gateway of `cluster` answers `path` with `text`."""
        last: list[Answer] = []

        async def asked() -> bool:
            last[:] = [await self.get(cluster, path, host)]
            return last[0] == Answer(200, text)

        await until(asked, timeout, lambda: f"{cluster}{path} with {text!r}: {last}")


@asynccontextmanager
async def running_fleet(root: Path, *clusters: str) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        fleet = Fleet(root, clusters or ("east", "west"), free_block(), stack)
        stack.callback(fleet.telemetry.close)
        stack.push_async_callback(fleet.client.close)
        fleet.folder("mgmt").mkdir(parents=True)
        for cluster in fleet.clusters:
            fleet.folder(cluster).mkdir(parents=True, exist_ok=True)
        # Before pytest's own limit: that one cancels all tasks at once, and what was started is not ended in order.
        async with asyncio.timeout(_LIMIT):
            await fleet.make_secrets()
            yield fleet


async def enroll(server: FolderSecrets, agent: FolderSecrets) -> None:
    await agent.put("relay-root-tls-secret", {"ca.crt": (await server.get("relay-root-tls-secret"))["ca.crt"]})
    await agent.put("relay-identity-token-secret", await server.get("relay-identity-token-secret"))


def state_of(server: Server, cluster: str) -> State | None:
    """None: the server does not know it yet."""
    found = server.ingest.states.clusters.get(cluster)
    return found.state if found else None


def effective(agent: Agent, gateway: str = GATEWAY) -> dict[tuple[str, str], bytes]:
    """What the agent serves one gateway: (type, name) -> digest."""
    state = agent.gateways_.states().get(gateway)
    return {key: pieces.digest for key, pieces in state.effective.items()} if state else {}
