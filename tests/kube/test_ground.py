"""The test ground itself: what a chart may rely on when it is run here."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.fleet.fleet_network import until
from tests.kube import pods_app
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.ground import BRIDGE
from tests.kube.kube_client import Object, namespace, service

pytestmark = pytest.mark.asyncio(loop_scope="module")
PORT = 8080
APP = [pods_app.__file__, str(PORT)]
HEALTH: Object = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    began = time.monotonic()
    async with running_cluster("one", tmp_path_factory.mktemp("one")) as running:
        print(f"one cluster up in {time.monotonic() - began:.1f} s")
        yield running


def deployment(where: str, name: str, replicas: int = 1, spec: Object | None = None, **container: Any) -> Object:
    first = {"name": "app", "image": "registry.test/python:3", "args": APP, **container}
    first.setdefault("ports", [{"name": "http", "containerPort": PORT}])
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [first], **(spec or {})},
    }
    wanted = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": where},
        "spec": wanted,
    }


async def pods(cluster: Cluster, where: str, name: str) -> list[Object]:
    answer = await cluster.kube.http.get(f"/api/v1/namespaces/{where}/pods", params={"labelSelector": f"app={name}"})
    found: list[Object] = answer.json()["items"]
    return found


async def test_pods_find_their_gateway_where_it_was_whoever_goes() -> None:
    """By its link address: what they remember of another one is wrong for half a minute."""

    async def address() -> str:
        shown = await asyncio.create_subprocess_exec(
            "ip", "-json", "link", "show", BRIDGE, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await shown.communicate()
        found: str = json.loads(said)[0]["address"]
        return found

    async def ip(*words: str) -> None:
        assert await (await asyncio.create_subprocess_exec("ip", *words)).wait() == 0

    before = await address()
    await ip("link", "add", "low", "address", "02:00:00:00:00:00", "type", "veth", "peer", "name", "low-pod")
    await ip("link", "set", "low", "master", BRIDGE, "up")
    try:
        assert await address() == before
    finally:
        await ip("link", "delete", "low")


def is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))


async def ready_pods(cluster: Cluster, where: str, name: str, count: int = 1) -> list[Object]:
    async def all_ready() -> list[Object]:
        found = [pod for pod in await pods(cluster, where, name) if is_ready(pod)]
        return found if len(found) == count else []

    found: list[Object] = await until(all_ready, 20, f"{count} ready pods of {where}/{name}")
    return found


async def ready_addresses(cluster: Cluster, where: str, name: str) -> set[str]:
    answer = await cluster.kube.http.get(
        f"/apis/discovery.k8s.io/v1/namespaces/{where}/endpointslices",
        params={"labelSelector": f"kubernetes.io/service-name={name}"},
    )
    ends = [e for found in answer.json()["items"] for e in found.get("endpoints") or ()]
    return {a for e in ends if e["conditions"]["ready"] for a in e["addresses"]}


def exists(path: str) -> bool:
    return Path(path).exists()


async def ask(pod: Object, path: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://{pod['status']['podIP']}:{PORT}/{path}")
    return answer.text


async def started(cluster: Cluster, where: str, **container: Any) -> Object:
    """One pod of the program, in a namespace of its own."""
    await cluster.kube.apply(namespace(where), deployment(where, "app", **{"readinessProbe": HEALTH} | container))
    return (await ready_pods(cluster, where, "app"))[0]


def service_on(where: str, name: str, port: int) -> Object:
    wanted = service(where, name, port)
    wanted["spec"]["ports"][0]["targetPort"] = "http"
    return wanted


async def test_a_service_reaches_the_ready_pods_by_its_name(cluster: Cluster) -> None:
    where = "web"
    await cluster.kube.apply(namespace(where), service_on(where, "cart", 9900))
    began = time.monotonic()
    await cluster.kube.apply(deployment(where, "cart", 2, readinessProbe=HEALTH))

    async def both() -> bool:
        return len(await ready_addresses(cluster, where, "cart")) == 2

    await until(both, 20, "two ready endpoints")
    print(f"from Deployment to two ready endpoints: {time.monotonic() - began:.2f} s")
    found = await ready_pods(cluster, where, "cart", 2)
    names = {pod["metadata"]["name"] for pod in found}
    asker = await started(cluster, "asker")
    for name in ("cart.web", "cart.web.svc", "cart.web.svc.cluster.local"):
        seen = {await ask(asker, f"get/http://{name}:9900/") for _ in range(4)}
        assert seen == names
    assert await ask(found[0], "get/http://cart:9900/") in names
    assert "Error" in await ask(asker, "get/http://cart:9900/"), "the short name is of the asker's namespace"
    assert "Error" in await ask(asker, "get/http://other.web:9900/")


async def test_a_pod_that_is_not_ready_leaves_the_slice_and_comes_back(cluster: Cluster) -> None:
    where = "probed"
    await cluster.kube.apply(namespace(where), service_on(where, "cart", 80))
    await cluster.kube.apply(deployment(where, "cart", 2, readinessProbe=HEALTH))
    first, second = await ready_pods(cluster, where, "cart", 2)
    both = {first["status"]["podIP"], second["status"]["podIP"]}

    async def slice_is(wanted: set[str]) -> bool:
        return await ready_addresses(cluster, where, "cart") == wanted

    await until(lambda: slice_is(both), why="both are in the slice")
    await ask(first, "sick")
    await until(lambda: slice_is(both - {first["status"]["podIP"]}), why="the sick one has left it")
    asker = await started(cluster, "probed-asker")
    seen = {await ask(asker, f"get/http://cart.{where}/") for _ in range(4)}
    assert seen == {second["metadata"]["name"]}
    await ask(first, "healed")
    await until(lambda: slice_is(both), why="it is back")


async def test_a_container_that_ends_or_does_not_live_is_started_again(cluster: Cluster) -> None:
    pod = await started(cluster, "crash", livenessProbe=HEALTH | {"httpGet": {"path": "/healthz", "port": PORT}})

    async def restarted(count: int, code: int) -> bool:
        (now,) = await pods(cluster, "crash", "app")
        status = now["status"]["containerStatuses"][0]
        ended = status.get("lastState", {}).get("terminated", {}).get("exitCode")
        return status["restartCount"] == count and ended == code and is_ready(now)

    with pytest.raises(httpx.HTTPError):
        await ask(pod, "exit")
    await until(lambda: restarted(1, 3), why="started again after exit code 3")
    await ask(pod, "sick")
    # As the first process of its namespace it does not feel SIGTERM, in a real container neither.
    await until(lambda: restarted(2, 137), why="killed by its liveness probe, and started again")


async def test_why_a_container_ended_is_in_its_status_where_the_manifest_asks_for_it(cluster: Cluster) -> None:
    script = "echo begun; for i in $(seq 100); do echo $0 $i; done; exit 3"
    asked = {"asked": {"terminationMessagePolicy": "FallbackToLogsOnError"}, "silent": {}}
    await cluster.kube.apply(namespace("ended"))
    for name, policy in asked.items():
        command = ["sh", "-c", script, name]
        await cluster.kube.apply(deployment("ended", name, image="shell", command=command, args=[], **policy))

    async def ended(name: str) -> Object:
        for pod in await pods(cluster, "ended", name):
            for container in pod.get("status", {}).get("containerStatuses", ()):
                found: Object = container.get("lastState", {}).get("terminated", {})
                return found
        return {}

    told = (await until(lambda: ended("asked"), why="it has ended"))["message"]
    assert told == "".join(f"asked {i}\n" for i in range(21, 101))
    assert "message" not in await until(lambda: ended("silent"), why="it has ended")


async def test_a_pod_that_is_deleted_is_told_and_gone(cluster: Cluster) -> None:
    script = "trap 'echo told; exit 0' TERM; echo begun; while :; do sleep 0.05; done"
    wanted = deployment("end", "app", image="shell", command=["sh", "-c", script], args=[])
    await cluster.kube.apply(namespace("end"), wanted)
    (pod,) = await ready_pods(cluster, "end", "app")
    log = cluster.kubelet.log("end", pod["metadata"]["name"], "app")
    await until(lambda: log.read_text() == "begun\n", why="it runs")
    first = int(log.with_suffix(".pid").read_text())
    assert exists(f"/proc/{first}")
    await cluster.kube.delete(wanted)

    async def gone() -> bool:
        return not await pods(cluster, "end", "app")

    await until(gone, why="the pod is gone from the API server")
    assert not exists(f"/proc/{first}")
    assert log.read_text() == "begun\ntold\n"


async def test_one_that_does_not_hear_sigterm_is_killed_after_its_grace_period(cluster: Cluster) -> None:
    pod = await started(cluster, "deaf")
    first = int(cluster.kubelet.log("deaf", pod["metadata"]["name"], "app").with_suffix(".pid").read_text())
    began = time.monotonic()
    await cluster.kube.delete(deployment("deaf", "app"))

    async def gone() -> bool:
        return not await pods(cluster, "deaf", "app")

    await until(gone, why="the pod is gone from the API server")
    assert time.monotonic() - began >= 1
    assert not exists(f"/proc/{first}")


async def test_three_clusters_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    began = time.monotonic()
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        async with asyncio.TaskGroup() as group:
            starting = [
                group.create_task(_with_a_service(stack, name, tmp_path / name, number))
                for number, name in enumerate(("mgmt", "east", "west"), start=1)
            ]
        took = time.monotonic() - began
        print(f"three clusters with a reachable Service each in {took:.1f} s")
        assert took < 30
        clusters = [task.result() for task in starting]
        balancers = {await _balancer(cluster) for cluster in clusters}
        assert len(balancers) == 3
        (asker,) = await ready_pods(clusters[0], "web", "app")
        for address in balancers:
            assert (await ask(asker, f"get/http://{address}:9900/")).startswith("app-")
        firsts = [int(cluster.kubelet.log("web", "app", "app").with_suffix(".pid").read_text()) for cluster in clusters]
        assert all(exists(f"/proc/{first}") for first in firsts)
    assert not any(exists(f"/proc/{first}") for first in firsts)


async def _with_a_service(stack: AsyncExitStack, name: str, folder: Path, number: int) -> Cluster:
    cluster = await stack.enter_async_context(running_cluster(name, folder, number))
    balanced = service_on("web", "app", 9900)
    balanced["spec"]["type"] = "LoadBalancer"
    await cluster.kube.apply(namespace("web"), balanced, deployment("web", "app", readinessProbe=HEALTH))
    await until(lambda: ready_addresses(cluster, "web", "app"), why="a ready endpoint")
    return cluster


async def _balancer(cluster: Cluster) -> str:
    found = await cluster.kube.get(service("web", "app"))
    return str(found["status"]["loadBalancer"]["ingress"][0]["ip"])
