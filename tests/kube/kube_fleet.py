"""The fleet of `tests.fleet` with API servers for clusters. Needs the network that `python -m tests.kube` makes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agent.settings import Settings as AgentSettings
from fingerpost.api.kinds import Kind
from fingerpost.crd.definition import definition, users_kinds
from mgmt.settings import Settings as ServerSettings
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet
from tests.kube.api_server import ApiServer
from tests.kube.faulty_api import FaultyApi, faulty_api
from tests.kube.kube_client import KubeClient, namespace

NAMESPACES = (m.ADMIN_NAMESPACE, "gw", "shop")


class Subnet(NamedTuple):
    """192.0.2.0/24: 32 addresses for each cluster."""

    def gateway(self, cluster: int) -> str:
        return f"192.0.2.{32 * cluster + 1}"

    def pod(self, cluster: int, number: int = 0) -> str:
        return f"192.0.2.{32 * cluster + 10 + number}"


class KubeFleet(Fleet):
    """`servers` and `kubes` are there by cluster; `mgmt` is the management cluster."""

    def __init__(self, root: Path, clusters: tuple[str, ...], stack: AsyncExitStack) -> None:
        super().__init__(root, clusters, Subnet(), stack)
        self.servers: dict[str, ApiServer] = {}
        self.kubes: dict[str, KubeClient] = {}
        self.doors: dict[str, FaultyApi] = {}  # where one stands before the API server

    async def start_clusters(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name in ("mgmt", *self.clusters):
                group.create_task(self._start_cluster(name))

    async def _start_cluster(self, name: str) -> None:
        server = self.servers[name] = ApiServer(name, self.root / "servers" / name)
        self.kubes[name] = await begin(server, self._stack, NAMESPACES)

    async def apply(self, cluster: str, *objects: m.Object) -> None:
        await self.kubes[cluster].apply(*objects)

    async def apply_world(self) -> None:
        own = [m.registered(c) for c in self.clusters]
        shared = [m.workspace(), m.virtual_gateway(), m.virtual_destination("cart")]
        await self.apply("mgmt", *own, *shared, self.www("/cart"))
        for cluster in self.clusters:
            await self.apply(cluster, *m.gateway(cluster, self.address(cluster)))
            await self.apply(cluster, *m.service(cluster, "cart", [self.pod(cluster)]))

    def www(self, path: str) -> m.Object:
        return m.table("www", [m.to(path, m.CART), m.says("/hi", "hi")], host=m.HOST)

    def server_settings(self, **changed: Any) -> ServerSettings:
        given = super().server_settings(**changed)
        return msgspec.structs.replace(given, directory=None, kubeconfig=self._kubeconfig("mgmt"))

    def agent_settings(self, cluster: str, relay: int) -> AgentSettings:
        given = super().agent_settings(cluster, relay)
        return msgspec.structs.replace(given, directory=None, kubeconfig=self._kubeconfig(cluster))

    async def stand_before(self, cluster: str) -> FaultyApi:
        """A door through which server or agent go from now on; tests do not."""
        self.doors[cluster] = await self._stack.enter_async_context(faulty_api(self.servers[cluster]))
        return self.doors[cluster]

    def _kubeconfig(self, cluster: str) -> Path:
        return (self.doors.get(cluster) or self.servers[cluster]).kubeconfig()


async def begin(server: ApiServer, stack: AsyncExitStack, namespaces: Iterable[str]) -> KubeClient:
    """It knows the kinds that are stored, and ends with the stack."""
    server.prepare()
    stack.push_async_callback(server.close)
    await server.start()
    kube = await stack.enter_async_context(KubeClient(server))
    await kube.install(*(definition(kind) for kind in stored_kinds()))
    await kube.apply(*(namespace(n) for n in namespaces))
    return kube


def stored_kinds() -> list[Kind]:
    """Those that something here reads or writes: all seventy would cost each cluster a second."""
    return [k for k in users_kinds() if k.kind == "XdsConfig" or (k.written_by_users and k.model is not None)]


@asynccontextmanager
async def running_kube_fleet(root: Path, *clusters: str, limit: float = 100) -> AsyncIterator[KubeFleet]:
    """`limit`: seconds for a whole test."""
    async with AsyncExitStack() as stack, asyncio.timeout(limit):
        fleet = KubeFleet(root, clusters or ("east", "west"), stack)
        stack.callback(fleet.telemetry.close)
        stack.push_async_callback(fleet.client.close)
        await fleet.start_clusters()
        await fleet.make_secrets()
        yield fleet
