"""Statuses on a real API server: written once, whatever came between (relay.md §8.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fingerpost.cluster.kubernetes.cluster import KubernetesCluster, kubernetes_cluster
from fingerpost.cluster.status_writer import StatusWriter
from fingerpost.objects import ObjectKey
from tests.fleet.fleet_network import settled, until
from tests.kube.api_server import ApiServer, running_api_server
from tests.kube.faulty_api import Fault, faulty_api
from tests.kube.kube_client import KubeClient, may_read, namespace, open_crd, route_table

TABLE = "networking.gloo.solo.io/RouteTable"


@asynccontextmanager
async def writing(kubeconfig: Path, rate: int = 200) -> AsyncIterator[tuple[KubernetesCluster, StatusWriter]]:
    async with kubernetes_cluster("one", [TABLE], kubeconfig=kubeconfig) as cluster:
        writer = StatusWriter(cluster, rate=rate)
        task = asyncio.create_task(writer.run())
        try:
            yield cluster, writer
        finally:
            task.cancel()
            await asyncio.wait([task])


def key(where: str, name: str = "www") -> ObjectKey:
    return ObjectKey(TABLE, "one", where, name)


def says(approval: str, generation: int = 1) -> dict[str, Any]:
    return {"common": {"State": {"approval": approval, "message": "", "observedGeneration": generation}}}


async def _there(kube: KubeClient, where: str, name: str = "www") -> Any:
    return (await kube.get(route_table(where, name, ""))).get("status")


async def reads(kube: KubeClient, where: str, status: Any, name: str = "www", timeout: float = 20) -> None:
    async def same() -> bool:
        return bool(await _there(kube, where, name) == status)

    await until(same, timeout, f"{where}/{name} has status {status}")


@pytest.mark.spec("M-57")
async def test_what_an_outage_kept_from_being_written_is_written_after_it(folder: Path) -> None:
    async with running_api_server("one", folder) as server, KubeClient(server) as kube:
        await kube.install(open_crd())
        await kube.apply(namespace("shop"))
        await kube.apply(route_table("shop", "www", "a.example"), route_table("shop", "more", "a.example"))
        async with writing(server.kubeconfig()) as (cluster, writer):
            await until(lambda: cluster.held(key("shop", "more")), why="listed")
            writer.put(key("shop"), says("PENDING"))
            await reads(kube, "shop", says("PENDING"))
            await server.stop()
            writer.put(key("shop"), says("ACCEPTED"))
            writer.put(key("shop", "more"), says("WARNING"))
            await until(lambda: len(writer._failed) == 2, why="both fail")
            await server.start()
            await reads(kube, "shop", says("ACCEPTED"), timeout=40)
            await reads(kube, "shop", says("WARNING"), "more")


async def test_a_status_that_comes_before_its_object_is_written_with_it(
    shared_server: ApiServer, kube: KubeClient
) -> None:
    await kube.apply(namespace("early"))
    async with writing(shared_server.kubeconfig()) as (_, writer):
        writer.put(key("early"), says("ACCEPTED"))
        await until(lambda: not writer._waiting, why="nothing to write it on")
        await kube.apply(route_table("early", "www", "a.example"))
        await reads(kube, "early", says("ACCEPTED"))


@pytest.mark.spec("M-57")
async def test_an_object_that_is_replaced_gets_its_status_again_and_never_that_of_the_former(
    shared_server: ApiServer, kube: KubeClient
) -> None:
    await kube.apply(namespace("twice"), route_table("twice", "www", "a.example"))
    async with writing(shared_server.kubeconfig()) as (cluster, writer):
        await until(lambda: cluster.held(key("twice")), why="listed")
        writer.put(key("twice"), says("ACCEPTED"))
        await reads(kube, "twice", says("ACCEPTED"))
        await kube.delete(route_table("twice", "www", ""))
        await kube.apply(route_table("twice", "www", "a.example"))
        await reads(kube, "twice", says("ACCEPTED"))

        uid = (await kube.get(route_table("twice", "www", "")))["metadata"]["uid"]
        await until(lambda: uid.encode() in (cluster.held(key("twice")) or b""), why="the new one is seen")
        assert not await cluster.write_status(key("twice"), says("WARNING", generation=2)), "of no generation of it"
        seen = cluster._statuses._seen[key("twice")]
        cluster._statuses._seen[key("twice")] = seen._replace(version="1")
        assert not await cluster.write_status(key("twice"), says("WARNING")), "of another object of the name"
        assert await _there(kube, "twice") == says("ACCEPTED")


async def test_a_status_that_somebody_changes_is_mended(shared_server: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("mended"), route_table("mended", "www", "a.example"))
    async with writing(shared_server.kubeconfig()) as (_, writer):
        writer.put(key("mended"), says("ACCEPTED"))
        await reads(kube, "mended", says("ACCEPTED"))
        await kube._set_status(route_table("mended", "www", "") | {"status": says("FAILED")})
        await reads(kube, "mended", says("ACCEPTED"))


@pytest.mark.spec("M-60")
async def test_a_quiet_writer_asks_for_nothing(shared_server: ApiServer, kube: KubeClient) -> None:
    names = [f"t{n}" for n in range(30)]
    await kube.apply(namespace("still"), *(route_table("still", name, "a.example") for name in names))
    async with faulty_api(shared_server) as api:
        for expected in (len(names), 0):  # the second process finds everything there
            api.asked.clear()
            async with writing(api.kubeconfig()) as (cluster, writer):
                await until(lambda cluster=cluster: cluster.held(key("still", "t29")), why="listed")
                for name in names:
                    writer.put(key("still", name), says("ACCEPTED"))
                await settled(lambda: api.count("PATCH"), 1)
                for name in names:
                    writer.put(key("still", name), says("ACCEPTED"))
                await settled(lambda: api.count("PATCH"), 0.5)
            assert api.count("PATCH") == expected


async def test_no_more_than_its_share_a_second_and_the_newest_first(shared_server: ApiServer, kube: KubeClient) -> None:
    names = [f"t{n}" for n in range(40)]
    await kube.apply(namespace("rate"), *(route_table("rate", name, "a.example") for name in names))
    async with faulty_api(shared_server) as api, writing(api.kubeconfig(), rate=40) as (cluster, writer):
        await until(lambda: cluster.held(key("rate", "t39")), why="listed")
        for name in names:
            writer.put(key("rate", name), says("ACCEPTED"))
        await until(lambda: api.count("PATCH") == len(names), why="all written")
        asked = [a for a in api.asked if a.method == "PATCH"]
        assert asked[-1].at - asked[0].at > 0.8, "40 a second"
        assert "/t39/" in " ".join(a.path for a in asked[:4])


@pytest.mark.parametrize(("fault", "patience"), [(Fault(429, retry_after=2), 2.0), (Fault(500), 0.4)])
async def test_a_busy_or_broken_api_server_is_left_alone_for_a_while(
    shared_server: ApiServer, kube: KubeClient, fault: Fault, patience: float
) -> None:
    where = f"busy-{fault.status}"
    await kube.apply(namespace(where), route_table(where, "www", "a.example"))
    async with faulty_api(shared_server) as api, writing(api.kubeconfig()) as (cluster, writer):
        await until(lambda: cluster.held(key(where)), why="listed")
        api.fault = lambda method, _: fault if method == "PATCH" else None
        writer.put(key(where), says("ACCEPTED"))
        await until(lambda: api.count("PATCH") == 2, why="tried again")
        first, second = (a.at for a in api.asked if a.method == "PATCH")
        assert second - first >= patience
        api.fault = lambda _method, _path: None
        await reads(kube, where, says("ACCEPTED"))


async def test_a_slow_api_server_still_gets_many(shared_server: ApiServer, kube: KubeClient) -> None:
    names = [f"t{n}" for n in range(16)]
    await kube.apply(namespace("slow"), *(route_table("slow", name, "a.example") for name in names))
    async with faulty_api(shared_server) as api, writing(api.kubeconfig()) as (cluster, writer):
        await until(lambda: cluster.held(key("slow", "t15")), why="listed")
        api.latency = 0.5
        began = asyncio.get_running_loop().time()
        for name in names:
            writer.put(key("slow", name), says("ACCEPTED"))
        for name in names:
            await reads(kube, "slow", says("ACCEPTED"), name)
        assert asyncio.get_running_loop().time() - began < 5, "not one after the other"


async def test_the_right_to_write_statuses_taken_away_and_given_back(
    shared_server: ApiServer, kube: KubeClient
) -> None:
    await kube.apply(namespace("rights"), route_table("rights", "www", "a.example"))
    group = "networking.gloo.solo.io"
    await kube.apply(*may_read("agent", "namespaces", named="ns"))
    await kube.apply(*may_read("agent", "routetables", group=group))
    async with writing(shared_server.kubeconfig("agent")) as (cluster, writer):
        await until(lambda: cluster.held(key("rights")), why="listed")
        writer.put(key("rights"), says("ACCEPTED"))
        error = (await until(lambda: list(writer._failed.values()), why="refused"))[0]
        assert "403" in str(error)
        assert 'cannot patch resource "routetables/status"' in str(error)
        role: dict[str, Any] = may_read("agent", "routetables", group=group)[0]
        role["rules"].append({"apiGroups": [group], "resources": ["routetables/status"], "verbs": ["patch"]})
        await kube.apply(role)
        await reads(kube, "rights", says("ACCEPTED"))
