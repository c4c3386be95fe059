"""The charts' pods on real API servers: server, Redis and agents as Helm installs them, with the rights they get."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import Answer, Client, until
from tests.kube import pods_app
from tests.kube.charts import NAMESPACE, Rendered
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.kube_client import Object, namespace
from tests.kube.release import (
    agent_values,
    backend,
    enroll,
    gateway,
    install_release,
    load_balancer,
    pods,
    ready,
    relay_address,
    said,
    secret_data,
)
from tests.kube.rights import rights, unused

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
MANAGEMENT: dict[str, Any] = {
    "common": {"cluster": "mgmt"},
    "glooMgmtServer": {
        "enabled": True,
        "registerCluster": True,
        "createGlobalWorkspace": True,
        "agents": [{"name": "east"}],
    },
}
# By account: patterns of what it has rights to that nothing here makes it do, and what does.
ELSEWHERE: dict[str, dict[str, str]] = {
    "gloo-mesh-mgmt-server": {
        "get secrets relay-identity-token-(east|mgmt)": "an agent shows a token that is not the shared one",
        "patch secrets relay-(root|server|tls)-.*": "a certificate is nearly over",
        "patch secrets fingerpost-rollbacks": "a snapshot is rolled back to",
    },
    "gloo-mesh-agent": {
        r"\w+ (destinationrules|envoyfilters|gateways|serviceentries|virtualservices|workloadentries)": "Istio",
        "patch secrets gloo-mesh-agent-gateways": "a gateway's certificate is nearly over",
    },
}


class Road(NamedTuple):
    management: Cluster
    east: Cluster
    client: Client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def road(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    folder = tmp_path_factory.mktemp("road")
    client = Client()
    began = time.monotonic()
    async with running_cluster("mgmt", folder / "mgmt", 0) as management:
        await install_release(management, MANAGEMENT)
        print(f"the management cluster has its release after {time.monotonic() - began:.1f} s")
        async with running_cluster("east", folder / "east", 1) as east:
            await enroll(management, east)
            await install_release(east, agent_values("east", await relay_address(management)))
            print(f"the workload cluster has its release after {time.monotonic() - began:.1f} s")
            yield Road(management, east, client)
    await client.close()


async def status(cluster: Cluster, obj: Object) -> dict[str, Any]:
    found: dict[str, Any] = (await cluster.kube.get(obj)).get("status", {})
    return found


async def approval(cluster: Cluster, obj: Object) -> str:
    return str((await status(cluster, obj)).get("common", {}).get("State", {}).get("approval", ""))


async def accepted(cluster: Cluster, obj: Object, patience: float = 30) -> None:
    last: dict[str, Any] = {}

    async def is_so() -> bool:
        last.update(await status(cluster, obj))
        return await approval(cluster, obj) == "ACCEPTED"

    await until(is_so, patience, lambda: f"{obj['kind']} {obj['metadata']['name']} is ACCEPTED: {last}")


@pytest.mark.spec("M-4")
async def test_one_release_is_a_whole_system_of_one_cluster(road: Road) -> None:
    await accepted(road.management, m.registered("mgmt"))
    (agent,) = await pods(road.management, NAMESPACE, "gloo-mesh-agent")
    words = {env["name"]: env.get("value") for env in agent["spec"]["containers"][0]["env"]}
    assert words["FINGERPOST_AGENT_SERVER_ADDRESS"] == f"gloo-mesh-mgmt-server.{NAMESPACE}:9900"
    assert [c["restartCount"] for c in agent["status"]["containerStatuses"]] == [0]
    (server,) = await pods(road.management, NAMESPACE, "gloo-mesh-mgmt-server")

    async def redis_is_used() -> bool:
        said = json.loads((await road.client.get(server["status"]["podIP"], "/readyz", port=8090)).text)
        return {check["name"]: check["message"] for check in said["checks"]} == {"serving": "", "redis": ""}

    await until(redis_is_used, 20, "the server goes on from Redis, not from memory")


async def serve(road: Road) -> Object:
    """A gateway and a backend in the workload cluster, all else in the management cluster. The RouteTable."""
    for cluster in (road.management, road.east):
        await cluster.kube.apply(namespace("gw"), namespace("shop"))
    await road.east.kube.apply(*gateway("east"), *backend("cart", pods_app.__file__))
    table = m.table("www", [m.to("/cart", m.CART)], host=m.HOST)
    await road.management.kube.apply(m.virtual_gateway(), m.virtual_destination("cart"), table)
    await ready(road.east, "gw", "ingress")
    return table


async def answered(road: Road) -> None:
    """By the pod of the backend, through the load balancer of the gateway."""
    address = await load_balancer(road.east, "gw", "ingress")
    (pod,) = await pods(road.east, "shop", "cart")

    async def it_is() -> bool:
        return await road.client.get(address, "/cart", m.HOST, port=80) == Answer(200, pod["metadata"]["name"])

    try:
        await until(it_is, 20, "the gateway answers")
    except AssertionError as silent:
        raise AssertionError(f"{silent}\n{await said(road.east, 'gw', 'ingress')}") from silent


async def test_a_workload_cluster_registers_by_root_and_token_and_serves(road: Road) -> None:
    await accepted(road.management, m.registered("east"))
    table = await serve(road)
    await accepted(road.management, table)
    await answered(road)


async def scale(cluster: Cluster, name: str, replicas: int, namespace: str = NAMESPACE) -> None:
    answer = await cluster.kube.http.patch(
        f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
        json={"spec": {"replicas": replicas}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert answer.is_success, answer.text
    await ready(cluster, namespace, name)
    where = f"/api/v1/namespaces/{namespace}/pods"

    async def so_many() -> bool:
        found = await cluster.kube.http.get(where, params={"labelSelector": f"app={name}"})
        return len(found.json()["items"]) == replicas

    await until(so_many, 60, f"{replicas} pods of {name}, also counting those that end")


async def replaced(cluster: Cluster, where: str, name: str) -> Object:
    """The only pod of a Deployment gives way to another one; that one, once it is ready."""
    (old,) = [pod["metadata"]["name"] for pod in await pods(cluster, where, name)]
    answer = await cluster.kube.http.delete(f"/api/v1/namespaces/{where}/pods/{old}")
    assert answer.is_success, answer.text
    found: list[Object] = []

    async def another_is_ready() -> bool:
        found[:] = [pod for pod in await pods(cluster, where, name) if pod["metadata"]["name"] != old]
        conditions = [c for pod in found for c in pod["status"].get("conditions", ())]
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    await until(another_is_ready, 60, f"another pod of {where}/{name} is ready")
    return found[0]


@pytest.mark.spec("M-9")
async def test_a_new_agent_serves_new_envoys_while_the_server_is_away(road: Road) -> None:
    await serve(road)
    await answered(road)

    async def kept() -> bool:
        configs = await road.east.kube.http.get(f"/apis/internal.gloo.solo.io/v2/namespaces/{NAMESPACE}/xdsconfigs")
        names = await secret_data(road.east, NAMESPACE, "gloo-mesh-agent-gateways")
        return bool(configs.json()["items"]) and "gw_ingress.crt" in names

    await until(kept, 20, "what the agent serves is kept in the cluster")
    await scale(road.management, "gloo-mesh-mgmt-server", 0)
    agent = await replaced(road.east, NAMESPACE, "gloo-mesh-agent")
    (container,) = agent["status"]["containerStatuses"]
    began = datetime.datetime.fromisoformat(container["state"]["running"]["startedAt"])
    (is_ready,) = [c for c in agent["status"]["conditions"] if c["type"] == "Ready"]
    assert (datetime.datetime.fromisoformat(is_ready["lastTransitionTime"]) - began).total_seconds() < 10
    await replaced(road.east, "gw", "ingress")
    await replaced(road.east, "shop", "cart")
    await answered(road)
    await scale(road.management, "gloo-mesh-mgmt-server", 1)


@pytest.mark.spec("M-3")
async def test_no_service_leads_to_the_servers_own_port(road: Road) -> None:
    """The port answers health and metrics on the pod's address; so the Service is what keeps callers out."""
    (server,) = await pods(road.management, NAMESPACE, "gloo-mesh-mgmt-server")
    assert (await road.client.get(server["status"]["podIP"], "/healthz", port=9091)).status == 200
    answer = await road.management.kube.http.get(f"/api/v1/namespaces/{NAMESPACE}/services")
    services = {found["metadata"]["name"]: found["spec"] for found in answer.json()["items"]}
    leading = [spec for spec in services.values() if spec["selector"] == {"app": "gloo-mesh-mgmt-server"}]
    assert leading, "the chart has a Service for the relay"
    for spec in leading:
        assert not {9091, "stats"} & {port["targetPort"] for port in spec["ports"]}
        assert (await road.client.get(spec["clusterIP"], "/healthz", port=9091)).status == 0


async def test_health_is_answered_through_the_service_and_nothing_else(road: Road) -> None:
    address = await load_balancer(road.management, NAMESPACE, "gloo-mesh-mgmt-server")
    said = {path: await road.client.get(address, path, port=8090) for path in ("/healthz", "/readyz", "/metrics")}
    assert [answer.status for answer in said.values()] == [200, 200, 404], said


@pytest.mark.spec("M-73")
async def test_nobody_asked_for_what_they_may_not(road: Road) -> None:
    """All that the tests above made them do."""
    for cluster, who in (
        (road.management, {"gloo-mesh-agent", "gloo-mesh-mgmt-server"}),
        (road.east, {"gloo-mesh-agent"}),
    ):
        asked = cluster.server.audited(NAMESPACE)
        assert {event["user"]["username"].rpartition(":")[2] for event in asked} == who
        refused = [event for event in asked if event.get("responseStatus", {}).get("code") in (401, 403)]
        assert [(event["user"]["username"], event["verb"], event["requestURI"]) for event in refused] == []


@pytest.mark.spec("M-73")
async def test_no_right_is_left_unused(road: Road) -> None:
    """By all that the tests above made them do, and by what they did not yet. `ELSEWHERE`: what others make them do."""
    wrong = m.table("wrong", [m.says("/", "x") | {"matchers": [{"uri": {"regex": "/a(b"}}]}])
    await road.east.kube.apply(wrong)  # gets a status and an Event where it is
    await scale(road.east, "ingress", 0, "gw")  # without its proxies it is kept no longer
    await road.east.kube.delete(*(obj for obj in gateway("east") if obj["kind"] == "Service"))
    given = {account: rights(Rendered(MANAGEMENT), account) for account in ELSEWHERE}

    def left() -> list[str]:
        used = [event for cluster in (road.management, road.east) for event in cluster.server.audited(NAMESPACE)]
        found = []
        for account, elsewhere in ELSEWHERE.items():
            mine = [event for event in used if event["user"]["username"].endswith(f":{account}")]
            for right in map(str, unused(given[account], mine)):
                if not any(re.fullmatch(pattern, right) for pattern in elsewhere):
                    found.append(f"{account}: {right}")
        return sorted(found)

    await until(lambda: not left(), 60, left)
