"""The command line with nothing but a kubeconfig: it finds the pods of the management server and asks all of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.fleet import fleet_manifests as m
from tests.kube.charts import NAMESPACE
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.command_line import CommandLine
from tests.kube.kube_client import namespace
from tests.kube.release import install_release, pods

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
VALUES: dict[str, Any] = {
    "common": {"cluster": "mgmt"},
    "glooMgmtServer": {
        "enabled": True,
        "registerCluster": True,
        "createGlobalWorkspace": True,
        "agents": [{"name": "absent"}],
        "deploymentOverrides": {"spec": {"replicas": 2}},
    },
}


class Plane(NamedTuple):
    cluster: Cluster
    fingerpost: CommandLine
    home: Path


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    folder = tmp_path_factory.mktemp("plane")
    async with running_cluster("mgmt", folder / "mgmt") as cluster:
        await install_release(cluster, VALUES)
        home = folder / "home"
        home.mkdir()
        await cluster.kube.apply(namespace("gw"), namespace("shop"), m.table("www", [m.says("/hi", "hi")], host=m.HOST))
        yield Plane(cluster, CommandLine(home, cluster.server.kubeconfig()), home)


@pytest.mark.spec("C-1", "C-2")
async def test_every_ready_pod_of_the_server_is_asked(plane: Plane) -> None:
    began = time.monotonic()
    found = await plane.fingerpost("version", "-o", "json")
    print(f"version took {time.monotonic() - began:.2f} s")
    assert found.code == 0, found.err
    server_pods = {pod["metadata"]["name"] for pod in await pods(plane.cluster, NAMESPACE, "gloo-mesh-mgmt-server")}
    assert len(server_pods) == 2
    assert {server["replica"] for server in found.document["server"]} == server_pods
    assert [agent["cluster"] for agent in found.document["agents"]] == ["mgmt"]
    ready = await plane.fingerpost("wait", "kubernetescluster", f"{NAMESPACE}/mgmt", "--for", "accepted")
    assert ready.code == 0, ready
    listed = await plane.fingerpost("cluster", "list", "-o", "json")
    assert {c["name"]: c["connected"] for c in listed.document["items"]} == {"mgmt": True, "absent": False}
    table = await plane.fingerpost("get", "routetables", "-n", "shop", "-o", "name")
    assert table.out == "routetable/shop/www\n"
    assert (await plane.fingerpost("describe", "rt", "shop/www")).code == 0
    assert (await plane.fingerpost("explain", "route", f"http://{m.HOST}/hi")).code == 0
    assert (await plane.fingerpost("release", "mgmt")).out == "nothing of mgmt was held\n"
