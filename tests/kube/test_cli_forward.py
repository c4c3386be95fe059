"""Asking a pod through the API server's port-forward, which ends in the pod's own loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from fingerpost.cluster.kubernetes.api import connected
from fingerpost.cluster.kubernetes.forward import PodTransport
from tests.fleet.fleet_network import until
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.kube_client import namespace
from tests.kube.test_ground import deployment, ready_pods

pytestmark = pytest.mark.asyncio(loop_scope="module")
# listens on the pod's loopback only
ON_LOOPBACK = "from http.server import *; HTTPServer(('127.0.0.1', 9091), SimpleHTTPRequestHandler).serve_forever()"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster("one", tmp_path_factory.mktemp("one")) as running:
        yield running


async def test_a_port_of_a_pods_loopback_is_reached(cluster: Cluster) -> None:
    app = deployment("fwd", "app", args=["-c", ON_LOOPBACK], workingDir="/etc", ports=[])
    await cluster.kube.apply(namespace("fwd"), app)
    (pod,) = await ready_pods(cluster, "fwd", "app")
    name = pod["metadata"]["name"]
    async with connected(cluster.server.kubeconfig()) as api:

        async def listens() -> bool:
            try:
                return bool(await _asked(PodTransport(api, "fwd", name, 9091), "/hosts"))
            except httpx.ReadError:
                return False

        await until(listens, 20, "it listens")
        big = await _asked(PodTransport(api, "fwd", name, 9091), "/services")
        hosts = await _asked(PodTransport(api, "fwd", name, 9091), "/hosts")
        with pytest.raises(httpx.ReadError, match=f"port 9 of pod fwd/{name}: Connection refused"):
            await _asked(PodTransport(api, "fwd", name, 9), "/")
        with pytest.raises(httpx.ConnectError, match="portforward with 404"):
            await _asked(PodTransport(api, "fwd", "none", 9091), "/")
    assert len(big) > 10_000
    assert hosts.splitlines()[1].split()[1] == name


async def _asked(transport: httpx.AsyncBaseTransport, path: str) -> str:
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        answer = await client.get(f"http://app{path}")
    return answer.raise_for_status().text
