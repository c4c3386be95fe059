"""`cluster register` and `deregister` between two clusters whose charts' pods run."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.fleet import fleet_manifests as m
from tests.kube.charts import NAMESPACE
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.command_line import CommandLine, both
from tests.kube.kube_client import Object
from tests.kube.release import install_release, secret_data

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
VALUES: dict[str, Any] = {
    "common": {"cluster": "mgmt", "imageRegistry": "registry.test"},
    "glooMgmtServer": {"enabled": True, "createGlobalWorkspace": True},
}
REGISTER = ("cluster", "register", "east", "--kubecontext", "mgmt", "--remote-context", "east")
TOKEN, CLIENT, ROOT = "relay-identity-token-secret", "relay-client-tls-secret", "relay-root-tls-secret"


class Road(NamedTuple):
    management: Cluster
    east: Cluster
    fingerpost: CommandLine


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def road(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    folder = tmp_path_factory.mktemp("road")
    async with (
        running_cluster("mgmt", folder / "mgmt", 0) as management,
        running_cluster("east", folder / "east", 1) as east,
    ):
        await install_release(management, VALUES)
        kubeconfig = both(folder, management.server.kubeconfig(), east.server.kubeconfig())
        yield Road(management, east, CommandLine(folder, kubeconfig))


async def versions(cluster: Cluster) -> dict[str, str]:
    """Of all that registering writes; a changed one tells."""
    out = {}
    for path in (
        f"/api/v1/namespaces/{NAMESPACE}/secrets",
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
        f"/apis/admin.gloo.solo.io/v2/namespaces/{NAMESPACE}/kubernetesclusters",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    ):
        answer = await cluster.kube.http.get(path)
        for found in answer.json().get("items", ()):
            meta = found["metadata"]
            out[f"{path}/{meta['name']}"] = str(meta.get("generation") or meta["resourceVersion"])
    return out


def labelled(obj: Object) -> dict[str, str]:
    found: dict[str, str] = obj["metadata"].get("labels", {})
    return found


@pytest.mark.spec("C-17", "C-19")
async def test_a_cluster_is_registered_and_a_second_time_nothing_changes(road: Road) -> None:
    began = time.monotonic()
    result = await road.fingerpost(*REGISTER, "--label", "region=eu", "-v")
    print(f"registered in {time.monotonic() - began:.1f} s\n{result.out}")  # 3.8 s with two cores at hand
    assert result.code == 0, result
    assert "agent connected and warm, cluster ACCEPTED" in result.out
    assert labelled(await road.management.kube.get(m.registered("east")))["region"] == "eu"
    assert await secret_data(road.east, NAMESPACE, TOKEN) == {}
    assert set(await secret_data(road.east, NAMESPACE, ROOT)) == {"ca.crt"}
    assert set(await secret_data(road.east, NAMESPACE, CLIENT)) >= {"tls.crt", "tls.key"}
    before = await versions(road.management) | await versions(road.east)
    again = await road.fingerpost(*REGISTER, "--label", "region=eu", "-o", "json")
    assert again.code == 0, again
    assert {**await versions(road.management), **await versions(road.east)} == before


async def test_what_is_missing_is_repaired(road: Road) -> None:
    """After the test above: a person has taken away the agent."""
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/gloo-mesh-agent"
    await road.east.kube.http.delete(path)
    result = await road.fingerpost(*REGISTER)
    assert result.code == 0, result
    assert (await road.east.kube.http.get(path)).is_success
    assert await secret_data(road.east, NAMESPACE, TOKEN) == {}


@pytest.mark.spec("C-5")
async def test_an_agent_that_cannot_come_is_told_with_its_reason(road: Road) -> None:
    broken = ("--set", "common.imageTag=v1", "--set", "glooAgent.image.repository=no-such-image", "--timeout", "4s")
    result = await road.fingerpost(*REGISTER, *broken, "-o", "json")
    assert result.code == 4, result
    found = {finding["code"]: finding["message"] for finding in result.document["findings"]}
    assert "container gloo-mesh-agent CreateContainerConfigError (no image" in found["CHK047"]
    assert "registry.test/no-such-image:v1" in found["CHK047"]
    nowhere = ("--relay-server-address", "192.0.2.77:9900", "--timeout", "8s")
    lost = await road.fingerpost(*REGISTER, *nowhere)
    assert (lost.code, "the server at 192.0.2.77:9900 cannot be reached: Connection refused" in lost.err) == (
        4,
        True,
    ), lost
    told = await road.fingerpost("check", "agent", "--kubecontext", "east")
    assert (told.code, "CHK048 " in told.out) == (1, True), told
    healed = await road.fingerpost(*REGISTER)
    assert healed.code == 0, healed


@pytest.mark.spec("M-26")
async def test_a_cluster_is_deregistered_and_what_was_written_there_stays(road: Road) -> None:
    table = m.table("mine", [m.says("/", "mine")], host="mine.example")
    table["metadata"]["namespace"] = "default"
    await road.east.kube.apply(table)
    order = ("cluster", "deregister", "east", "--kubecontext", "mgmt", "--remote-context", "east")
    before = await versions(road.management) | await versions(road.east)
    dry = await road.fingerpost(*order, "--dry-run")
    assert (dry.code, "would" in dry.out) == (0, True)
    assert before == await versions(road.management) | await versions(road.east)
    wrong = await road.fingerpost("cluster", "deregister", "west", *order[3:])
    assert (wrong.code, "is that of cluster east" in wrong.err) == (7, True)
    result = await road.fingerpost(*order)
    assert result.code == 0, result
    for name in (TOKEN, CLIENT, ROOT):
        assert await secret_data(road.east, NAMESPACE, name) == {}
    assert (await road.east.kube.get(table))["spec"]["hosts"] == ["mine.example"]
    left = await road.management.kube.http.get("/apis/admin.gloo.solo.io/v2/kubernetesclusters")
    assert left.json()["items"] == []
    again = await road.fingerpost(*order)
    assert again.code == 0, again
