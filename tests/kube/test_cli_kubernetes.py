"""The command line with nothing but a kubeconfig: it finds the pods of the management server and asks all of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube.charts import NAMESPACE
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.command_line import CommandLine
from tests.kube.kube_client import may_read, namespace
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
    async with running_cluster("mgmt", folder / "mgmt", users=("reader",)) as cluster:
        await install_release(cluster, VALUES)
        home = folder / "home"
        home.mkdir()
        await cluster.kube.apply(namespace("gw"), namespace("shop"), m.table("www", [m.says("/hi", "hi")], host=m.HOST))
        yield Plane(cluster, CommandLine(home, cluster.server.kubeconfig()), home)


@pytest.mark.spec("C-1", "C-2")
async def test_every_ready_pod_of_the_server_is_asked(plane: Plane) -> None:
    began = time.monotonic()
    found = await plane.fingerpost("version", "-o", "json")
    print(f"version took {time.monotonic() - began:.2f} s")  # 0.7 s
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


@pytest.mark.spec("C-43")
async def test_a_table_that_is_applied_already_is_no_difference(plane: Plane) -> None:
    """Although the API server has added fields of its own to it."""
    order = ("diff", "-f", str(plane.home / "www.yaml"), "--prune", "namespace")
    m.write(plane.home / "www.yaml", m.table("www", [m.says("/hi", "hi")], host=m.HOST))
    same = await plane.fingerpost(*order)
    assert (same.code, same.out) == (0, "no difference\n"), same
    m.write(plane.home / "www.yaml", m.table("www", [m.says("/ho", "ho")], host=m.HOST))
    other = await plane.fingerpost(*order, "-o", "json")
    assert other.code == 1, other
    assert [(o["change"], o["name"]) for o in other.document["spec"]["objects"]] == [("change", "www")]


@pytest.mark.spec("C-9", "C-10", "C-16")
async def test_check_tells_of_kinds_deployments_and_agents(plane: Plane) -> None:

    async def settled() -> bool:
        """A server that was there before Redis finds it a little later, and only then the other's agents."""
        return "CHK061" not in (await plane.fingerpost("check", "-o", "json")).out

    began = time.monotonic()
    await until(settled, 40, "all servers have found Redis")
    print(f"settled after {time.monotonic() - began:.1f} s")
    result = await plane.fingerpost("check", "-n", NAMESPACE)
    titles = (
        "License status",
        "CRD version check",
        "Gloo Platform deployment status",
        "Mgmt server connectivity to workload agents",
    )
    places = [result.out.index(f"] {title}\n") for title in titles]
    assert places == sorted(places)
    assert result.code == 1, result
    rows = [[cell.strip() for cell in line.split("|")] for line in result.out.splitlines() if "|" in line]
    assert [NAMESPACE, "gloo-mesh-mgmt-server", "2/2", "Healthy"] in rows
    assert [NAMESPACE, "gloo-mesh-redis", "1/1", "Healthy"] in rows
    assert "CHK041 absent: registered, no agent" in result.out
    document = (await plane.fingerpost("check", "-o", "json")).document
    (one,) = [f for f in document["findings"] if f["code"] == "CHK041"]
    assert one.keys() >= {"code", "severity", "section", "object", "message", "hint"}


@pytest.mark.spec("C-13")
async def test_check_without_the_server_says_that_it_was_not_asked(plane: Plane) -> None:
    result = await plane.fingerpost("check", "--remote-port", "0")
    assert (result.code, "not asked (--remote-port 0)" in result.out) == (0, True), result
    assert "CHK041" not in result.out


async def test_check_agent_tells_of_the_agent_of_that_cluster(plane: Plane) -> None:
    result = await plane.fingerpost("check", "agent")
    assert (result.code, "agent of cluster mgmt" in result.out) == (0, True), result
    assert "gloo-mesh-agent" in result.out


@pytest.mark.spec("C-5")
async def test_a_missing_right_is_named(plane: Plane) -> None:
    kubeconfig = plane.cluster.server.kubeconfig("reader")
    nobody = CommandLine(plane.home, kubeconfig)
    refused = await nobody("cluster", "list", "-o", "json")
    assert refused.code == 5, refused
    assert f'cannot get resource "deployments" in API group "apps" in the namespace "{NAMESPACE}"' in refused.err
    assert refused.document["findings"][0]["code"] == "Forbidden"
    await plane.cluster.kube.apply(*may_read("reader", "deployments", group="apps"), *may_read("reader", "pods"))
    refused = await nobody("cluster", "list")
    assert refused.code == 5, refused
    assert "get and create on pods/portforward" in refused.err


async def test_what_kubernetes_says_of_a_server_that_does_not_come_is_told(plane: Plane) -> None:
    """Last here: the servers are gone afterwards."""
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/gloo-mesh-mgmt-server"
    broken = {
        "strategy": {"type": "Recreate", "rollingUpdate": None},
        "template": {"spec": {"containers": [{"name": "gloo-mesh-mgmt-server", "image": "no-such-image:v1"}]}},
    }
    patched = await plane.cluster.kube.http.patch(
        path, headers={"Content-Type": "application/strategic-merge-patch+json"}, json={"spec": broken}
    )
    assert patched.is_success, patched.text

    async def told() -> bool:
        return "CreateContainerConfigError" in (await plane.fingerpost("check")).out

    await until(told, 30, "the reason is told")
    result = await plane.fingerpost("check")
    assert result.code == 3, result
    assert "CHK034 Deployment gloo-mesh/gloo-mesh-mgmt-server: 0 of 2 pods ready (" in result.out
    assert "CHK032 no pod of the management server in namespace gloo-mesh is ready: " in result.out
    listed = await plane.fingerpost("cluster", "list")
    assert listed.code == 6, listed
    assert [line.split(" | ")[:2] for line in listed.out.splitlines()[1:]] == [
        ["absent ", "Unknown"],
        ["mgmt   ", "Unknown"],
    ]
    other = await plane.fingerpost("version", "--mgmt-namespace", "nowhere")
    assert (other.code, "no Deployment gloo-mesh-mgmt-server in namespace nowhere" in other.err) == (3, True)
