"""What the agent writes into a cluster, on a real API server with Istio's kinds (relay.md §8.4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from agent.apply.objects import Objects
from agent.apply.wanted import Object
from fingerpost.cluster.kubernetes.applying import Applying
from fingerpost.cluster.kubernetes.cluster import KubernetesCluster, kubernetes_cluster
from fingerpost.cluster.protocol import Why
from fingerpost.objects import ObjectKey, canonical
from tests.fleet.fleet_network import settled, until
from tests.kube.api_server import ApiServer
from tests.kube.faulty_api import FaultyApi
from tests.kube.istiod import istio_crds
from tests.kube.kube_client import KubeClient, namespace

_NET = "networking.istio.io"
_MARKS = {"reconciler.mesh.gloo.solo.io/name": "translator", "relay.solo.io/cluster": "one"}
_SCOPE = "gw/ingress"


@pytest.fixture(scope="module")
def istio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer("one", tmp_path_factory.mktemp("istio"))
    server.prepare()
    try:
        asyncio.run(_with_istio(server))
        yield server
    finally:
        asyncio.run(server.close())


async def _with_istio(server: ApiServer) -> None:
    await server.start()
    async with KubeClient(server) as kube:
        await kube.install(*istio_crds())


@pytest.fixture
async def kube(istio: ApiServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(istio) as client:
        yield client


class Rig:
    def __init__(self, cluster: KubernetesCluster) -> None:
        self.cluster = cluster
        self.reported: list[str] = []
        self.undone: list[ObjectKey] = []
        self.leads = True
        self.objects = Objects(
            cluster, self.reported.append, time.monotonic, self.undone.append, leads=lambda: self.leads
        )
        self.version = 0

    def want(self, *objects: dict[str, Any], gone: tuple[ObjectKey, ...] = (), scope: str = _SCOPE) -> int:
        self.version += 1
        changed: dict[ObjectKey, Object | None] = {_key(o): Object(canonical(o), "root") for o in objects}
        self.objects.want(scope, self.version, changed | dict.fromkeys(gone))
        return self.version

    async def arrived(self, version: int, scope: str = _SCOPE) -> None:
        await until(lambda: self.objects.wanted.arrived(scope) >= version, 15, lambda: self.objects.wanted.troubles)


@asynccontextmanager
async def rigged(server: ApiServer | FaultyApi) -> AsyncIterator[Rig]:
    types = ("networking.istio.io/*", "core/Namespace")
    async with kubernetes_cluster("one", types, kubeconfig=server.kubeconfig(), marks=_MARKS) as cluster:
        rig = Rig(cluster)

        async def watch() -> None:
            async with aclosing(cluster.watch()) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    rig.objects.saw(batch.changes, listed=batch.listed)

        tasks = [asyncio.create_task(watch()), asyncio.create_task(rig.objects.run())]
        try:
            yield rig
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def _key(obj: dict[str, Any]) -> ObjectKey:
    return ObjectKey(f"{_NET}/{obj['kind']}", "one", obj["metadata"]["namespace"], obj["metadata"]["name"])


def _istio(kind: str, where: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": where}
    return {"apiVersion": f"{_NET}/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _virtual_service(where: str, host: str, name: str = "vs", subset: str = "") -> dict[str, Any]:
    destination = {"host": "cart.shop.svc.cluster.local", **({"subset": subset} if subset else {})}
    return _istio("VirtualService", where, name, {"hosts": [host], "http": [{"route": [{"destination": destination}]}]})


def _rule(where: str, *subsets: str) -> dict[str, Any]:
    return _istio(
        "DestinationRule",
        where,
        "dr",
        {
            "host": "cart.shop.svc.cluster.local",
            "subsets": [{"name": s, "labels": {"version": s}} for s in subsets],
        },
    )


@pytest.mark.spec("M-16")
async def test_a_rule_is_there_before_the_service_that_names_its_subset(istio: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("order"))
    async with rigged(istio) as rig:
        await rig.arrived(rig.want(_virtual_service("order", "a.example", subset="v1"), _rule("order", "v1")))
        service, rule = [await kube.get(o) for o in (_virtual_service("order", ""), _rule("order"))]
        assert int(rule["metadata"]["resourceVersion"]) < int(service["metadata"]["resourceVersion"])
        assert {k: service["metadata"]["labels"][k] for k in _MARKS} == _MARKS
        await rig.arrived(rig.want(_virtual_service("order", "a.example", subset="v2"), _rule("order", "v1", "v2")))
        service, rule = [await kube.get(o) for o in (_virtual_service("order", ""), _rule("order"))]
        assert service["spec"]["http"][0]["route"][0]["destination"]["subset"] == "v2"
        assert int(rule["metadata"]["resourceVersion"]) < int(service["metadata"]["resourceVersion"])
        gone = (_key(_virtual_service("order", "")), _key(_rule("order")))
        await rig.arrived(rig.want(gone=gone))
        await until(lambda: _gone(kube, _rule("order")), why="removed")
        assert await _gone(kube, _virtual_service("order", ""))


async def _gone(kube: KubeClient, obj: dict[str, Any]) -> bool:
    found = await kube.http.get(
        f"/apis/{_NET}/v1/namespaces/{obj['metadata']['namespace']}/{obj['kind'].lower()}s/{obj['metadata']['name']}"
    )
    return found.status_code == 404


@pytest.mark.spec("M-59", "R-182")
async def test_foreign_edits_are_undone_and_foreign_objects_are_left_alone(istio: ApiServer, kube: KubeClient) -> None:
    theirs = _virtual_service("edits", "theirs.example", "theirs")
    await kube.apply(namespace("edits"), theirs)
    async with rigged(istio) as rig:
        ours = _virtual_service("edits", "ours.example")
        version = rig.want(ours, _virtual_service("edits", "taken.example", "theirs"))
        await rig.arrived(version)
        [(key, _, trouble)] = rig.objects.wanted.troubled(_SCOPE)
        assert key.name == "theirs"
        assert trouble.why is Why.NAME_CONFLICT
        assert "was not written by this system" in trouble.message
        assert (await kube.get(theirs))["spec"]["hosts"] == ["theirs.example"]

        began = time.monotonic()
        await kube.apply(_virtual_service("edits", "foreign.example"), manager="somebody")
        await until(lambda: _hosts(kube, ours, ["ours.example"]), 5, "the edit is undone")
        await kube.delete(ours)
        await until(lambda: _hosts(kube, ours, ["ours.example"]), 5, "the deletion is undone")
        assert time.monotonic() - began < 5
        assert _key(ours) in rig.undone

        await rig.arrived(rig.want(gone=(_key(ours), _key(theirs))))
        await until(lambda: _gone(kube, ours), why="removed")
        assert (await kube.get(theirs))["spec"]["hosts"] == ["theirs.example"], "not ours to remove"


@pytest.mark.spec("M-59", "R-182")
async def test_who_puts_another_object_in_place_of_ours_is_told(istio: ApiServer, kube: KubeClient) -> None:
    """With our marks it is mended as any edit; without them it is somebody else's now, and never written again."""
    await kube.apply(namespace("replaced"))
    names = ("copied", "foreign", "stripped")
    ours = {name: _virtual_service("replaced", f"{name}.example", name) for name in names}
    theirs = {name: _virtual_service("replaced", "theirs.example", name) for name in names}
    async with rigged(istio) as rig:
        await rig.arrived(rig.want(*ours.values()))
        rig.leads = False  # or it would make one anew in between
        for name, marks in (("copied", _MARKS), ("foreign", {})):
            theirs[name]["metadata"]["labels"] = marks
            await kube.delete(ours[name])
            await kube.apply(theirs[name], manager="somebody")
        bare = {"metadata": {"labels": dict.fromkeys(_MARKS)}, "spec": theirs["stripped"]["spec"]}
        await kube.merge(theirs["stripped"], bare)
        rig.leads = True
        rig.objects.look()

        def conflicts() -> set[str]:
            troubles = rig.objects.wanted.troubled(_SCOPE)
            return {key.name for key, _, trouble in troubles if trouble.why is Why.NAME_CONFLICT}

        await until(lambda: conflicts() == {"foreign", "stripped"}, 15, lambda: rig.objects.wanted.troubles)
        await until(lambda: _hosts(kube, ours["copied"], ["copied.example"]), 5, "the copy is mended")
        for name in ("foreign", "stripped"):
            assert (await kube.get(theirs[name]))["spec"]["hosts"] == ["theirs.example"]


@pytest.mark.spec("R-182")
async def test_what_somebody_makes_just_before_us_stays_theirs(
    istio: ApiServer, kube: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kube.apply(namespace("between"))
    theirs = _virtual_service("between", "theirs.example")
    look = Applying._look

    async def looked(self: Applying, path: str, key: ObjectKey) -> None:
        await look(self, path, key)
        if await _gone(kube, theirs):
            await kube.apply(theirs, manager="somebody")

    monkeypatch.setattr(Applying, "_look", looked)
    async with rigged(istio) as rig:
        await rig.arrived(rig.want(_virtual_service("between", "ours.example")))
        [(_, _, trouble)] = rig.objects.wanted.troubled(_SCOPE)
        assert trouble.why is Why.NAME_CONFLICT
    found = await kube.get(theirs)
    assert (found["spec"]["hosts"], found["metadata"].get("labels")) == (["theirs.example"], None)


@pytest.mark.spec("R-182")
async def test_what_somebody_puts_there_just_before_we_remove_ours_stays(
    istio: ApiServer, kube: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kube.apply(namespace("swapped"))
    ours, theirs = _virtual_service("swapped", "ours.example"), _virtual_service("swapped", "theirs.example")
    look, looks = Applying._look, 0

    async def looked(self: Applying, path: str, key: ObjectKey) -> None:
        nonlocal looks
        looks += 1
        await look(self, path, key)
        if looks == 1:
            await kube.delete(ours)
            await kube.apply(theirs, manager="somebody")

    async with rigged(istio) as rig:
        await rig.arrived(rig.want(ours))
        monkeypatch.setattr(Applying, "_look", looked)
        rig.want(gone=(_key(ours),))
        await until(lambda: looks > 1, 15, "it was refused, and looks again")
    found = await kube.get(theirs)
    assert (found["spec"]["hosts"], found["metadata"].get("labels")) == (["theirs.example"], None)


async def _hosts(kube: KubeClient, obj: dict[str, Any], hosts: list[str]) -> bool:
    return not await _gone(kube, obj) and (await kube.get(obj))["spec"]["hosts"] == hosts


@pytest.mark.spec("M-18")
async def test_a_refused_object_holds_up_no_other_and_is_tried_ever_more_seldom(
    istio: ApiServer, kube: KubeClient
) -> None:
    await kube.apply(namespace("refused"))
    bad = _istio("VirtualService", "refused", "bad", {"http": [{"timeout": "soon"}], "hosts": "no list"})
    async with rigged(istio) as rig:
        await rig.arrived(rig.want(bad, _virtual_service("refused", "good.example", "good")))
        assert (await kube.get(_virtual_service("refused", "", "good")))["spec"]["hosts"] == ["good.example"]
        [(key, obj, trouble)] = rig.objects.wanted.troubled(_SCOPE)
        assert (key.name, obj.contribution, trouble.why, trouble.attempts) == ("bad", "root", Why.REFUSED, 1)
        assert "spec.hosts: expected list" in trouble.message
        assert trouble.due - time.monotonic() > 4
        await rig.arrived(rig.want(_virtual_service("refused", "mended.example", "bad")))
        assert rig.objects.wanted.troubled(_SCOPE) == []
        assert await _hosts(kube, _virtual_service("refused", "", "bad"), ["mended.example"])


async def test_an_object_for_a_namespace_that_is_not_there_waits(istio: ApiServer, kube: KubeClient) -> None:
    async with rigged(istio) as rig:
        version = rig.want(_virtual_service("later", "l.example"))
        await rig.arrived(version)
        [(_, _, trouble)] = rig.objects.wanted.troubled(_SCOPE)
        assert trouble.why is Why.NAMESPACE_MISSING
        assert 'namespace "later" does not exist' in trouble.message
        await kube.apply(namespace("later"))
        await until(lambda: not rig.objects.wanted.troubled(_SCOPE), 15, "it is written when there is a place for it")
        assert await _hosts(kube, _virtual_service("later", ""), ["l.example"])


@pytest.mark.spec("M-60")
async def test_a_new_process_writes_nothing_that_is_there_already(istio: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("quiet"))
    wanted = [_virtual_service("quiet", f"{n}.example", f"vs{n}") for n in range(20)]
    async with rigged(istio) as rig:
        await rig.arrived(rig.want(*wanted))
    before = await _versions(kube)
    await kube.apply(_virtual_service("quiet", "foreign.example", "vs7"), manager="somebody")
    async with rigged(istio) as rig:
        calls: list[ObjectKey] = []
        apply = rig.cluster.apply

        async def counted(key: ObjectKey, obj: Any) -> bytes:
            calls.append(key)
            return await apply(key, obj)

        rig.cluster.apply = counted  # type: ignore[method-assign]
        await rig.arrived(rig.want(*wanted))
        await settled(lambda: len(calls), 1)
        assert [key.name for key in calls] == ["vs7"], "only what somebody changed meanwhile"
        after = await _versions(kube)
        assert {n for n in after if after[n] != before[n]} == {"vs7"}
        await rig.arrived(rig.want(_virtual_service("quiet", "new.example", "vs3")))
        assert {n for n, v in (await _versions(kube)).items() if v != after[n]} == {"vs3"}


async def _versions(kube: KubeClient) -> dict[str, str]:
    found = (await kube.http.get(f"/apis/{_NET}/v1/namespaces/quiet/virtualservices")).json()
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in found["items"]}


async def test_what_two_gateways_want_goes_with_the_last(istio: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("two"))
    shared = _rule("two", "v1")
    async with rigged(istio) as rig:
        await rig.arrived(rig.want(shared))
        await rig.arrived(rig.want(shared, scope="gw/other"), "gw/other")
        await rig.arrived(rig.want(gone=(_key(shared),)))
        assert not await _gone(kube, shared)
        rig.objects.forget("gw/other")
        await until(lambda: _gone(kube, shared), why="the last one has let it go")
