"""A whole cluster: API server, controllers, and one node whose pods are processes of this machine.

Needs the network that `python -m tests.kube` makes. Clusters of one test have different numbers (0 to 254), from which
follow their addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from fingerpost.cluster.kubernetes.api import connected
from tests.fleet.fleet_network import until
from tests.kube.api_server import ApiServer
from tests.kube.controllers import Controllers
from tests.kube.ground import Ground
from tests.kube.kube_client import KubeClient
from tests.kube.kubelet.dns import Names, lookup
from tests.kube.kubelet.images import IMAGES, Images
from tests.kube.kubelet.node import Kubelet, running_kubelet
from tests.kube.kubelet.services import Services


class Cluster(NamedTuple):
    server: ApiServer
    kube: KubeClient
    kubelet: Kubelet
    ground: Ground


@asynccontextmanager
async def running_cluster(
    name: str, folder: Path, number: int = 0, images: Images = IMAGES, users: tuple[str, ...] = ()
) -> AsyncIterator[Cluster]:
    """Up when pods can be made: the controllers have written the default service account."""
    ground = Ground(number)
    server = ApiServer(name, folder, ground.services, runs_pods=True)
    server.prepare(*users)
    controllers = Controllers(server)
    try:
        await server.start()
        controllers.start()
        async with (
            KubeClient(server) as kube,
            running_kubelet(server, ground, images, folder / "pods") as kubelet,
            _running_services(server, ground),
        ):
            account = "/api/v1/namespaces/default/serviceaccounts/default"

            async def is_made() -> bool:
                controllers.check()
                return (await kube.http.get(account)).is_success

            await until(is_made, 30, "the default service account")
            yield Cluster(server, kube, kubelet, ground)
    finally:
        controllers.close()
        await server.close()


@asynccontextmanager
async def _running_services(server: ApiServer, ground: Ground) -> AsyncIterator[None]:
    async with connected(server.kubeconfig()) as api, KubeClient(server) as client:
        services = Services(api, client, ground, ("127.0.0.1", server.port))
        loop = asyncio.get_running_loop()
        names, _ = await loop.create_datagram_endpoint(lambda: Names(lookup(services)), local_addr=(ground.dns, 53))
        tasks = [asyncio.create_task(work(), name="services") for work in services.work]
        try:
            yield
        finally:
            names.close()
            services.close()
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
