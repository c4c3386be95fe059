"""Two servers and two agents as pods of one release: pods are killed and replaced, and nothing is lost."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import Answer, Client, until
from tests.kube import pods_app
from tests.kube.charts import NAMESPACE
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.kube_client import Object, namespace
from tests.kube.release import backend, gateway, install_release, pods, ready, said, secret_data

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
SERVER, AGENT = "gloo-mesh-mgmt-server", "gloo-mesh-agent"
TWO: dict[str, Any] = {"deploymentOverrides": {"spec": {"replicas": 2}}}
VALUES: dict[str, Any] = {
    "common": {"cluster": "mgmt"},
    "glooMgmtServer": {"enabled": True, "registerCluster": True, "createGlobalWorkspace": True, **TWO},
    "glooAgent": TWO,
}


class World(NamedTuple):
    cluster: Cluster
    client: Client

    async def envoys(self) -> list[str]:
        return [pod["status"]["podIP"] for pod in await pods(self.cluster, "gw", "ingress")]

    async def apply_table(self, path: str) -> Object:
        table = m.table("www", [m.to("/cart", m.CART), m.says(path, path)], host=m.HOST)
        (found,) = await self.cluster.kube.apply(table)
        return found

    async def live(self, path: str, patience: float = 30) -> None:
        """In every Envoy."""
        last: dict[str, Answer] = {}

        async def all_say_so() -> bool:
            for address in await self.envoys():
                last[address] = await self.client.get(address, path, m.HOST)
            return len(last) == 2 and all(answer == Answer(200, path) for answer in last.values())

        try:
            await until(all_say_so, patience, lambda: f"{path} is live: {last}")
        except AssertionError as late:
            words = [await said(self.cluster, NAMESPACE, name) for name in (SERVER, AGENT)]
            raise AssertionError("\n".join([str(late), *words])) from late

    async def leader(self) -> str:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{AGENT}"
        answer = await self.cluster.kube.http.get(path)
        return str(answer.json()["spec"]["holderIdentity"]) if answer.is_success else ""

    async def kill(self, name: str) -> None:
        """SIGKILL, and its object goes."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}"
        answer = await self.cluster.kube.http.delete(path, params={"gracePeriodSeconds": "0"})
        assert answer.is_success, answer.text

    async def restart(self, name: str) -> None:
        """As `kubectl rollout restart`."""
        now = datetime.datetime.now(datetime.UTC).isoformat()
        patch = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": now}}}}}
        answer = await self.cluster.kube.http.patch(
            f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}",
            json=patch,
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )
        assert answer.is_success, answer.text
        await ready(self.cluster, NAMESPACE, name)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    client = Client()
    async with running_cluster("mgmt", tmp_path_factory.mktemp("replicas")) as cluster:
        await install_release(cluster, VALUES)
        await cluster.kube.apply(namespace("gw"), namespace("shop"))
        await cluster.kube.apply(*gateway("mgmt", replicas=2), *backend("cart", pods_app.__file__))
        await cluster.kube.apply(m.virtual_gateway(), m.virtual_destination("cart"))
        world = World(cluster, client)
        await world.apply_table("/begin")
        await ready(cluster, "gw", "ingress")
        await world.live("/begin")
        yield world
    await client.close()


async def names(world: World, app: str) -> set[str]:
    return {pod["metadata"]["name"] for pod in await pods(world.cluster, NAMESPACE, app)}


async def test_all_agents_serve_and_one_of_them_writes(world: World) -> None:
    leader = await world.leader()
    assert leader in await names(world, AGENT)
    (other,) = await names(world, AGENT) - {leader}
    writing: dict[str, set[str]] = {}
    for event in world.cluster.server.audited(NAMESPACE):
        if event["user"]["username"].endswith(f":{AGENT}") and event["verb"] in ("patch", "create", "delete"):
            pod = event["user"]["extra"]["authentication.kubernetes.io/pod-name"][0]
            writing.setdefault(pod, set()).add(event["objectRef"]["resource"])
    assert {"xdsconfigs", "leases"} <= writing[leader]
    # what proxies show is asked by whom they are connected to, and both may have made the key or a certificate
    assert writing.get(other, set()) <= {"tokenreviews", "secrets", "leases"}


async def test_replicas_agree_on_one_root(world: World) -> None:
    root = await secret_data(world.cluster, NAMESPACE, "gateway-root-tls-secret")
    kept = await secret_data(world.cluster, NAMESPACE, "gloo-mesh-agent-gateways")
    assert set(root) == {"tls.key", "tls.crt"}
    assert kept["gw_ingress.roots"] == root["tls.crt"]
    assert len(await names(world, SERVER)) == 2


@pytest.mark.spec("M-61")
async def test_a_server_is_killed(world: World) -> None:
    victim, began = sorted(await names(world, SERVER))[0], time.monotonic()
    await world.kill(victim)
    await world.apply_table("/one-is-dead")
    await world.live("/one-is-dead", 15)
    print(f"live {time.monotonic() - began:.1f} s after a server was killed")
    await ready(world.cluster, NAMESPACE, SERVER)
    await world.kill((await names(world, SERVER) - {victim}).pop())
    await world.apply_table("/another-one-is-dead")
    await world.live("/another-one-is-dead", 15)
    await ready(world.cluster, NAMESPACE, SERVER)


async def test_the_leading_agent_is_killed(world: World) -> None:
    leader, began = await world.leader(), time.monotonic()
    (other,) = await names(world, AGENT) - {leader}
    await world.kill(leader)

    async def led_by_another() -> bool:
        return await world.leader() not in ("", leader)

    await until(led_by_another, 20, "another agent leads")
    print(f"another agent leads after {time.monotonic() - began:.1f} s")
    await world.apply_table("/led-by-another")
    await world.live("/led-by-another")
    await ready(world.cluster, NAMESPACE, AGENT)
    assert other in await names(world, AGENT)


@asynccontextmanager
async def steady(world: World, path: str) -> AsyncIterator[list[Answer]]:
    """A client that never ceases to ask all Envoys; what it was answered."""
    heard: list[Answer] = []

    async def ask() -> None:
        while True:
            for address in await world.envoys():
                heard.append(await world.client.get(address, path, m.HOST))
            await asyncio.sleep(0.02)

    task = asyncio.create_task(ask())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.spec("M-66")
async def test_a_rolling_restart_loses_nothing(world: World) -> None:
    """With the same version twice: there is none before this one."""
    (pod,) = await pods(world.cluster, "shop", "cart")

    async def edit(count: int) -> None:
        for number in range(count):
            await world.apply_table(f"/edit-{number}")
            await asyncio.sleep(0.5)

    async with steady(world, "/cart") as heard:
        for name in (SERVER, AGENT):
            editing = asyncio.create_task(edit(10))
            await world.restart(name)
            await editing
            await world.live("/edit-9")
            await world.apply_table(f"/{name}-restarted")
            await world.live(f"/{name}-restarted")
    assert len(heard) > 100
    assert {answer for answer in heard if answer != Answer(200, pod["metadata"]["name"])} == set()
