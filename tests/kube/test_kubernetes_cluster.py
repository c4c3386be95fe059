"""KubernetesCluster on a real API server: it lists and follows, and what it cannot see it never takes for absent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fingerpost.cluster.kubernetes.api import Api, ApiFailed, connected
from fingerpost.cluster.kubernetes.cluster import KubernetesCluster, kubernetes_cluster
from fingerpost.cluster.kubernetes.discovery import Resource
from fingerpost.cluster.kubernetes.reflector import Reflector, Scope
from fingerpost.cluster.protocol import Batch, ClusterFailed
from fingerpost.objects import ObjectKey
from tests.fleet.fleet_network import settled, until
from tests.kube.api_server import ApiServer, running_api_server
from tests.kube.kube_client import KubeClient, Object, may_read, namespace, open_crd, route_table, secret, service

SERVICES, TABLES = "core/Service", "networking.gloo.solo.io/RouteTable"
_TYPES = (SERVICES, "core/Namespace", "*.gloo.solo.io/*")


class Seen:
    """Everything a watcher was told, folded into what it must believe."""

    def __init__(self) -> None:
        self.objects: dict[ObjectKey, dict[str, Any]] = {}
        self.batches: list[Batch] = []
        self.removed: list[ObjectKey] = []

    def take(self, batch: Batch) -> None:
        self.batches.append(batch)
        if batch.listed:
            there = {key for key, body in batch.changes if body is not None}
            for key in [k for k in self.objects if k not in there and k.type not in batch.unlisted]:
                del self.objects[key]
                self.removed.append(key)
        for key, body in batch.changes:
            if body is None:
                self.objects.pop(key, None)
                self.removed.append(key)
            else:
                self.objects[key] = msgspec.json.decode(body)

    @property
    def listed(self) -> bool:
        return any(batch.listed for batch in self.batches)

    def names(self, type_: str, where: str) -> set[str]:
        return {key.name for key in self.objects if key.type == type_ and key.namespace == where}


@asynccontextmanager
async def watching(
    server: ApiServer, types: Collection[str] = _TYPES, user: str = "admin", **given: Any
) -> AsyncIterator[tuple[KubernetesCluster, Seen]]:
    given = {"kubeconfig": server.kubeconfig(user), **given}
    async with kubernetes_cluster("one", types, **given) as cluster:
        seen = Seen()

        async def watch() -> None:
            async with aclosing(cluster.watch()) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    seen.take(batch)

        task = asyncio.create_task(watch())
        try:
            yield cluster, seen
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_a_listing_then_every_change(shared_server: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("shop"), service("shop", "cart"), route_table("shop", "www", "a.example"))
    async with watching(shared_server) as (cluster, seen):
        await until(lambda: seen.listed, why="listed")
        assert seen.names(SERVICES, "shop") == {"cart"}
        assert seen.names(TABLES, "shop") == {"www"}
        table = seen.objects[ObjectKey(TABLES, "one", "shop", "www")]
        assert table["apiVersion"] == "networking.gloo.solo.io/v2"
        assert table["kind"] == "RouteTable"
        assert table["metadata"]["uid"]
        assert cluster.uid == (await kube.get(namespace("kube-system")))["metadata"]["uid"]
        await kube.apply(route_table("shop", "www", "b.example"), service("shop", "more"))
        await until(lambda: seen.objects[table_key("www")]["spec"]["hosts"] == ["b.example"], why="edited")
        await until(lambda: seen.names(SERVICES, "shop") == {"cart", "more"}, why="added")
        await kube.delete(service("shop", "cart"))
        await until(lambda: seen.names(SERVICES, "shop") == {"more"}, why="deleted")
        assert cluster.findings == ()
        assert seen.batches[-1].unlisted == frozenset()


@pytest.mark.spec("M-8")
async def test_what_is_trimmed_away_tells_nobody(shared_server: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("quiet"), route_table("quiet", "www", "q.example"))
    async with watching(shared_server) as (cluster, seen):
        await until(lambda: "www" in seen.names(TABLES, "quiet"), why="listed")
        await settled(lambda: len(seen.batches), 0.5)
        count, generation = len(seen.batches), seen.objects[table_key("www", "quiet")]["metadata"]["generation"]
        await cluster.write_status(table_key("www", "quiet"), {"common": {"State": {"approval": "ACCEPTED"}}})
        found = await kube.get(route_table("quiet", "www", ""))
        assert found["status"]["common"]["State"]["approval"] == "ACCEPTED"
        await kube.apply(route_table("quiet", "www", "q.example"), manager="another")  # changes managedFields only
        assert len((await kube.get(route_table("quiet", "www", "")))["metadata"]["managedFields"]) >= 3
        await kube.apply(service("quiet", "after"))  # the proof that events were seen up to here
        await until(lambda: "after" in seen.names(SERVICES, "quiet"), why="the later event")
        told = [key for batch in seen.batches[count:] for key, _ in batch.changes]
        assert table_key("www", "quiet") not in told
        assert "managedFields" not in seen.objects[table_key("www", "quiet")]["metadata"]
        assert seen.objects[table_key("www", "quiet")]["metadata"]["generation"] == generation


@pytest.mark.spec("M-57")
async def test_a_status_is_written_once(shared_server: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("status"), route_table("status", "www", "s.example"))
    key = table_key("www", "status")
    async with watching(shared_server) as (cluster, seen):
        await until(lambda: key in seen.objects, why="listed")
        await cluster.write_status(key, {"state": "ACCEPTED", "note": "first"})
        first = (await kube.get(route_table("status", "www", "")))["metadata"]["resourceVersion"]
        await cluster.write_status(key, {"note": "first", "state": "ACCEPTED"})
        assert (await kube.get(route_table("status", "www", "")))["metadata"]["resourceVersion"] == first
        await cluster.write_status(key, {"state": "ACCEPTED"})
        assert (await kube.get(route_table("status", "www", "")))["status"] == {"state": "ACCEPTED"}
        assert cluster.status(key) == {"state": "ACCEPTED"}
        await kube.delete(route_table("status", "www", ""))
        await cluster.write_status(key, {"state": "WARNING"})  # perhaps before the deletion is known here
    async with watching(shared_server) as (again, seen):
        await until(lambda: seen.listed, why="listed")
        assert again.status(key) is None


async def test_a_status_that_is_there_already_is_not_written_by_a_new_process(
    shared_server: ApiServer, kube: KubeClient
) -> None:
    await kube.apply(namespace("again"), route_table("again", "www", "s.example"))
    key = table_key("www", "again")
    for _ in range(2):
        async with watching(shared_server) as (cluster, seen):
            await until(lambda seen=seen: key in seen.objects, why="listed")
            await cluster.write_status(key, {"state": "ACCEPTED"})
            version = (await kube.get(route_table("again", "www", "")))["metadata"]["resourceVersion"]
            await cluster.write_status(key, {"state": "ACCEPTED"})
    assert (await kube.get(route_table("again", "www", "")))["metadata"]["resourceVersion"] == version


async def test_secrets_are_read_by_name_only(shared_server: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("vault"), secret("vault", "mine", key="canary"), secret("vault", "other", key="x"))
    rights = may_read("agent", "namespaces", named="ns")
    named: dict[str, Any] = may_read("agent", "secrets", named="one-secret")[0]
    named["rules"][0]["resourceNames"] = ["mine"]
    await kube.apply(*rights, named, may_read("agent", "secrets", named="one-secret")[1])
    async with watching(shared_server, ("core/Namespace", "core/Secret"), "agent") as (cluster, seen):
        await until(lambda: seen.listed, why="listed")
        assert not [key for key in seen.objects if key.type == "core/Secret"]
        cluster.want("core/Secret", [("vault", "mine")])
        await until(lambda: seen.names("core/Secret", "vault") == {"mine"}, why="the named Secret")
        assert await cluster.read_secret("vault", "mine") == {"key": b"canary"}
        await kube.apply(secret("vault", "mine", key="renewed"))

        async def renewed() -> bool:
            return await cluster.read_secret("vault", "mine") == {"key": b"renewed"}

        await until(renewed, why="the new content")
        cluster.want("core/Secret", [])
        await until(lambda: not seen.names("core/Secret", "vault"), why="forgotten")
        assert cluster.findings == ()
        cluster.want("core/Secret", [("vault", "other")])
        await until(lambda: cluster.findings, why="this right is missing")
        assert cluster.findings[0].code == "NotAllowed"
        assert "secrets other in namespace vault" in cluster.findings[0].message


async def test_a_kind_that_may_not_be_read_is_unknown_and_not_empty(shared_server: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("dark"), service("dark", "cart"), *may_read("nobody", "namespaces"))
    rights = may_read("nobody", "services")
    async with watching(shared_server, (SERVICES, "core/Namespace"), "nobody") as (cluster, seen):
        await until(lambda: seen.listed, why="what may be read is listed")
        assert seen.names("core/Namespace", "") >= {"dark"}
        assert seen.batches[-1].unlisted == {SERVICES}
        finding = cluster.findings[0]
        assert finding.code == "NotAllowed"
        assert "services cannot be read" in finding.message
        assert "grant get, list and watch" in finding.message
        await kube.apply(*rights)
        await until(lambda: seen.names(SERVICES, "dark") == {"cart"}, 40, "it is tried again")
        await until(lambda: cluster.findings == () and not seen.batches[-1].unlisted, why="and all is well")


async def test_what_is_no_kubeconfig_is_refused(shared_server: ApiServer, tmp_path: Path) -> None:
    for number, text in enumerate(("a: [", "just text", "kind: Config", "- 1")):
        path = tmp_path / f"{number}"
        path.write_text(text)
        with pytest.raises(ClusterFailed, match=f"{path} (is not YAML: line 1|is no kubeconfig)"):
            await _enter(path)
    with pytest.raises(ClusterFailed, match="has no context elsewhere; name one of its contexts: "):
        async with kubernetes_cluster("one", [], kubeconfig=shared_server.kubeconfig(), context="elsewhere"):
            pass


async def _enter(kubeconfig: Path) -> None:
    async with kubernetes_cluster("one", [SERVICES], kubeconfig=kubeconfig):
        return


async def test_only_the_namespaces_asked_for(shared_server: ApiServer, kube: KubeClient) -> None:
    for where in ("wanted", "unwanted"):
        await kube.apply(namespace(where), service(where, "cart"))
    async with watching(shared_server, (SERVICES,), namespaces=["wanted"]) as (_, seen):
        await until(lambda: seen.listed, why="listed")
        assert {key.namespace for key in seen.objects} == {"wanted"}


async def test_a_kind_whose_crd_comes_later_goes_and_comes_back(folder: Path) -> None:
    async with running_api_server("one", folder) as server, KubeClient(server) as kube:
        crd = open_crd()
        await kube.apply(namespace("shop"))
        async with watching(server) as (cluster, seen):
            await until(lambda: seen.listed, why="listed without the kind")
            await kube.install(crd)
            await kube.apply(route_table("shop", "www", "a.example"))
            await until(lambda: seen.names(TABLES, "shop") == {"www"}, 10, "the kind is watched")
            await kube.delete(crd)
            # Its objects go first; applied before it is gone, it would go all the same a moment later.
            await until(lambda: _gone(kube, crd), 20, "the CRD is gone")
            await until(
                lambda: (
                    any(f.code == "KindVanished" for f in cluster.findings)
                    or TABLES not in {k.type for k in seen.objects}
                ),
                20,
                "its end is seen",
            )
            await kube.install(crd)
            await until(lambda: _taken(kube, route_table("shop", "new", "a.example")), 20, "and takes objects")
            await until(lambda: "new" in seen.names(TABLES, "shop"), 20, "and watched again")
            await until(lambda: cluster.findings == (), 20, lambda: cluster.findings)


async def _gone(kube: KubeClient, crd: Object) -> bool:
    answer = await kube.http.get(f"/apis/{crd['apiVersion']}/customresourcedefinitions/{crd['metadata']['name']}")
    return answer.status_code == 404


async def _taken(kube: KubeClient, obj: Object) -> bool:
    """A kind that has just come is answered with 429 or 404 for a moment, whatever its condition says."""
    where = obj["metadata"]["namespace"]
    answer = await kube.http.post(f"/apis/{obj['apiVersion']}/namespaces/{where}/routetables", json=obj)
    return answer.status_code in (201, 409)


async def test_an_api_server_that_goes_and_comes_back(folder: Path) -> None:
    async with running_api_server("one", folder) as server, KubeClient(server) as kube:
        await kube.apply(namespace("shop"), service("shop", "cart"))
        async with watching(server, (SERVICES, "core/Namespace")) as (cluster, seen):
            await until(lambda: seen.listed, why="listed")
            await server.stop()
            await until(lambda: any(f.code in ("NotRead", "NotDiscovered") for f in cluster.findings), 10, "said")
            assert "does not answer" in cluster.findings[0].message
            assert seen.names(SERVICES, "shop") == {"cart"}
            await server.start()
            await kube.delete(service("shop", "cart"))
            await kube.apply(service("shop", "other"))
            await until(lambda: seen.names(SERVICES, "shop") == {"other"}, 40, "in step again")
            await until(lambda: cluster.findings == (), 40, lambda: cluster.findings)
            assert [key.name for key in seen.removed if key.type == SERVICES] == ["cart"]


async def test_a_watch_whose_past_is_forgotten_lists_again(folder: Path) -> None:
    async with running_api_server("one", folder) as server, KubeClient(server) as kube:
        await kube.apply(namespace("shop"), *(service("shop", f"s{n}") for n in range(3)))
        old = (await kube.get(service("shop", "s0")))["metadata"]["resourceVersion"]
        async with watching(server, (SERVICES,)) as (cluster, seen):
            await until(lambda: seen.names(SERVICES, "shop") == {"s0", "s1", "s2"}, why="listed")
            await server.stop()
            await until(lambda: cluster.findings, 10, "the loss is seen")
            await server.forget_the_past()
            await server.start()
            await kube.delete(service("shop", "s1"))
            async with connected(server.kubeconfig()) as api:
                with pytest.raises(ApiFailed) as refusal:
                    await _first_event(api, old)
                assert refusal.value.expired
            await until(lambda: seen.names(SERVICES, "shop") == {"s0", "s2"}, 30, "in step again")
            await kube.apply(service("shop", "s3"))
            await until(lambda: "s3" in seen.names(SERVICES, "shop"), 30, "and it follows")


async def _first_event(api: Api, version: str) -> None:
    resource = Resource(SERVICES, "/api/v1", "services", namespaced=True, status=True)
    async with aclosing(Reflector(api, Scope(resource), Ignored())._watch(version)) as versions:
        await anext(versions)


class Ignored:
    def read(self, scope: Scope, obj: dict[str, Any]) -> None: ...

    def listed(self, scope: Scope, objects: Iterable[None]) -> None: ...

    def changed(self, scope: Scope, obj: dict[str, Any], *, gone: bool) -> None: ...

    def failed(self, scope: Scope, error: ApiFailed) -> None: ...

    def recovered(self, scope: Scope) -> None: ...


async def test_relist_reads_everything_anew(shared_server: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("anew"), *(service("anew", f"s{n}") for n in range(3)))
    async with watching(shared_server, (SERVICES,)) as (cluster, seen):
        await until(lambda: seen.listed, why="listed")
        count = len(seen.batches)
        await asyncio.wait_for(cluster.relist(), 10)
        await until(lambda: any(batch.listed for batch in seen.batches[count:]), why="a listing again")
        assert seen.names(SERVICES, "anew") == {"s0", "s1", "s2"}
        assert seen.removed == []


def table_key(name: str, where: str = "shop") -> ObjectKey:
    return ObjectKey(TABLES, "one", where, name)
