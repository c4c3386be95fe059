"""What is written into a cluster comes back by itself when the cluster lets it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fingerpost.cluster.protocol import Why
from tests.fleet.fleet_network import until
from tests.kube.api_server import ApiServer, running_api_server
from tests.kube.faulty_api import Fault, faulty_api
from tests.kube.istiod import istio_crds
from tests.kube.kube_client import KubeClient, Object, namespace
from tests.kube.test_objects import _SCOPE, Rig, _gone, _hosts, _virtual_service, rigged


@pytest.fixture
async def istio(folder: Path) -> AsyncIterator[ApiServer]:
    async with running_api_server("one", folder) as server, KubeClient(server) as kube:
        await kube.install(_crd())
        await kube.apply(namespace("shop"))
        yield server


@pytest.fixture
async def kube(istio: ApiServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(istio) as client:
        yield client


def _crd() -> Object:
    return next(crd for crd in istio_crds() if crd["spec"]["names"]["kind"] == "VirtualService")


async def _trouble(rig: Rig, why: Why) -> str:
    def found() -> str:
        return next((t.message for _, _, t in rig.objects.wanted.troubled(_SCOPE) if t.why is why), "")

    message: str = await until(found, 20, lambda: f"{why}: {rig.objects.wanted.troubles}")
    return message


@pytest.mark.spec("M-59")
async def test_a_namespace_that_is_deleted_and_made_again(istio: ApiServer, kube: KubeClient) -> None:
    async with rigged(istio) as rig:
        ours = _virtual_service("shop", "ours.example")
        await rig.arrived(rig.want(ours, _virtual_service("default", "other.example")))
        await kube.delete(namespace("shop"))
        await kube.delete(ours)  # as the namespace's controller does
        said = await _trouble(rig, Why.REFUSED)
        assert "because it is being terminated" in said
        space = await kube.get(namespace("shop"))
        space["spec"]["finalizers"] = []
        answer = await kube.http.put("/api/v1/namespaces/shop/finalize", content=json.dumps(space))
        assert answer.is_success, answer.text
        said = await _trouble(rig, Why.NAMESPACE_MISSING)
        assert said.endswith('namespace "shop" does not exist in this cluster; create it')
        await kube.apply(namespace("shop"))
        await until(lambda: _hosts(kube, ours, ["ours.example"]), 30, "it is back")
        assert await _hosts(kube, _virtual_service("default", ""), ["other.example"]), "which nobody touched"


async def test_a_kind_that_is_removed_and_put_back(istio: ApiServer, kube: KubeClient) -> None:
    async with rigged(istio) as rig:
        ours = _virtual_service("shop", "ours.example")
        await rig.arrived(rig.want(ours))
        await kube.delete(_crd())
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/virtualservices.networking.istio.io"

        async def away() -> bool:
            return (await kube.http.get(path)).status_code == 404

        await until(away, 20, "the CRD is gone")
        await rig.arrived(rig.want(_virtual_service("shop", "changed.example")))
        assert "install its CRD" in await _trouble(rig, Why.KIND_MISSING)
        await kube.install(_crd())
        await until(lambda: _there(kube, "changed.example"), 40, "and written as it is wanted now")


async def _there(kube: KubeClient, host: str) -> bool:
    obj = _virtual_service("shop", "")
    return not await _gone(kube, obj) and await _hosts(kube, obj, [host])


@pytest.mark.parametrize("fault", [Fault(429, retry_after=2), Fault(500)], ids=["busy", "broken"])
async def test_an_api_server_that_is_busy_or_broken_gets_it_later(
    istio: ApiServer, kube: KubeClient, fault: Fault
) -> None:
    async with faulty_api(istio) as api, rigged(api) as rig:
        api.fault = lambda method, _: fault if method == "PATCH" else None
        await rig.arrived(rig.want(_virtual_service("shop", "late.example")))
        said = await _trouble(rig, Why.UNAVAILABLE)
        assert f"with {fault.status}" in said
        await until(lambda: api.count("PATCH") >= 2, why="tried again")
        first, second = [a.at for a in api.asked if a.method == "PATCH"][:2]
        assert second - first >= fault.retry_after
        api.fault = lambda _method, _path: None
        await until(lambda: _there(kube, "late.example"), 40, "written in the end")


@pytest.mark.spec("M-18")
async def test_an_outage_of_the_api_server_loses_nothing(istio: ApiServer, kube: KubeClient) -> None:
    async with rigged(istio) as rig:
        await rig.arrived(rig.want(_virtual_service("shop", "before.example")))
        await istio.stop()
        rig.want(_virtual_service("shop", "after.example"))
        assert "does not answer" in await _trouble(rig, Why.UNAVAILABLE)
        await istio.start()
        await until(lambda: _there(kube, "after.example"), 40, "written after it")
