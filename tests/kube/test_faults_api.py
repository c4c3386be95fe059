"""What goes wrong between us and an API server: it is named with what to do, and nothing is taken for absent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from fingerpost.cluster.kubernetes.cluster import kubernetes_cluster
from tests.fleet.fleet_network import settled, until
from tests.kube.api_server import ApiServer, running_api_server
from tests.kube.certificates import write_certificates
from tests.kube.faulty_api import Fault, faulty_api
from tests.kube.kube_client import KubeClient, may_read, namespace, service
from tests.kube.test_kubernetes_cluster import SERVICES, watching


@asynccontextmanager
async def _starting(kubeconfig: Path) -> AsyncIterator[list[Any]]:
    """What is logged by one that cannot get in."""

    async def enter() -> None:
        async with kubernetes_cluster("one", [SERVICES], kubeconfig=kubeconfig):
            await asyncio.Event().wait()

    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(enter())
        try:
            yield logs
        finally:
            task.cancel()
            await asyncio.wait([task])


async def _said(logs: list[Any]) -> str:
    line = await until(lambda: [x for x in logs if x["event"] == "cluster.api.unreachable"], why="it is said")
    assert line[0]["cluster"] == "one"
    return str(line[0]["reason"])


async def test_a_wrong_token_is_named(shared_server: ApiServer) -> None:
    async with _starting(shared_server.kubeconfig("stranger", token="wrong")) as logs:
        said = await _said(logs)
        assert f"the API server at {shared_server.url} answers" in said
        assert "with 401" in said
        assert said.endswith("give a token or certificate that it knows")


async def test_an_agent_without_any_right_names_the_first_it_needs_and_goes_on_when_it_has_them(
    folder: Path,
) -> None:
    async with running_api_server("one", folder, "powerless") as server, KubeClient(server) as kube:
        await kube.apply(namespace("shop"), service("shop", "cart"))
        async with _starting(server.kubeconfig("powerless")) as logs:
            said = await _said(logs)
            assert 'namespaces "kube-system" is forbidden: User "powerless" cannot get' in said
            assert said.endswith("grant get on it: its uid stands for the cluster")

        async def grant() -> None:
            await kube.apply(*may_read("powerless", "namespaces"))

        granting = asyncio.create_task(grant())
        async with watching(server, (SERVICES,), "powerless") as (cluster, seen):
            await granting
            finding = (await until(lambda: cluster.findings, why="the next right is named"))[0]
            assert (finding.code, finding.source) == ("NotAllowed", "services")
            assert "grant get, list and watch" in finding.message
            await kube.apply(*may_read("powerless", "services"))
            await until(lambda: seen.names(SERVICES, "shop") == {"cart"}, 40, "it goes on")


@pytest.mark.parametrize(
    ("days", "address", "words"),
    [
        (-60, "127.0.0.1", "certificate has expired; renew it there, or set the clocks right"),
        (10, "127.0.0.1", "certificate is not yet valid; renew it there, or set the clocks right"),
        (0, "192.0.2.7", "let the kubeconfig name the address and the certificate authority of this API server"),
    ],
    ids=["expired", "not valid yet, or a clock that is slow", "for another name"],
)
async def test_a_certificate_of_the_api_server_that_proves_nothing(
    shared_server: ApiServer, tmp_path: Path, days: int, address: str, words: str
) -> None:
    write_certificates(tmp_path / "pki", ["elsewhere"], [address], days=days)
    async with faulty_api(shared_server, tmp_path / "pki") as api, _starting(api.kubeconfig()) as logs:
        said = await _said(logs)
        assert said.startswith(f"the certificate of the API server at https://127.0.0.1:{api.port} is refused: ")
        assert said.endswith(words)
        assert not api.asked, "the token was not shown to it"


async def test_a_right_that_is_taken_away_and_given_back(folder: Path) -> None:
    async with running_api_server("one", folder, "agent") as server, KubeClient(server) as kube:
        role, binding = may_read("agent", "services")
        await kube.apply(namespace("shop"), service("shop", "cart"), role, binding)
        await kube.apply(*may_read("agent", "namespaces"))
        async with watching(server, (SERVICES, "core/Namespace"), "agent") as (cluster, seen):
            await until(lambda: seen.names(SERVICES, "shop") == {"cart"}, why="listed")
            await kube.delete(binding)
            await server.stop()  # a watch goes on with the rights it began with
            await server.start()
            await until(lambda: [f for f in cluster.findings if f.code == "NotAllowed"], 40, "it is said")
            finding = next(f for f in cluster.findings if f.code == "NotAllowed")
            assert "grant get, list and watch" in finding.message
            assert "What is known of them stays in force" in finding.message
            assert seen.names(SERVICES, "shop") == {"cart"}
            await kube.apply(binding, service("shop", "more"))
            await until(lambda: seen.names(SERVICES, "shop") == {"cart", "more"}, 40, "in step again")
            await until(lambda: cluster.findings == (), 20, lambda: cluster.findings)
            assert not seen.removed


@pytest.mark.parametrize("fault", [Fault(429, retry_after=2), Fault(500)], ids=["busy", "broken"])
async def test_an_api_server_that_is_busy_or_broken_while_it_is_listed(
    shared_server: ApiServer, kube: KubeClient, fault: Fault
) -> None:
    where = f"listing-{fault.status}"
    await kube.apply(namespace(where), service(where, "cart"))
    async with faulty_api(shared_server) as api:
        api.fault = lambda _, path: fault if path.endswith("/services") else None
        async with watching(shared_server, (SERVICES,), kubeconfig=api.kubeconfig()) as (cluster, seen):
            finding = (await until(lambda: cluster.findings, why=lambda: f"said: {api.asked}"))[0]
            assert finding.code == "NotRead"
            assert f"with {fault.status}" in finding.message
            assert finding.message.endswith("it is tried again")
            await until(lambda: api.count("GET", "/services") >= 2, why="tried again")
            first, second = [a.at for a in api.asked if a.path.endswith("/services")][:2]
            assert second - first >= fault.retry_after
            assert not seen.listed, "nothing is not the same as none"
            api.fault = lambda _method, _path: None
            await until(lambda: "cart" in seen.names(SERVICES, where), 30, "listed in the end")
            await until(lambda: cluster.findings == (), why="and all is well")


async def test_a_slow_api_server_costs_time_and_nothing_else(shared_server: ApiServer, kube: KubeClient) -> None:
    await kube.apply(namespace("late"), service("late", "cart"))
    async with faulty_api(shared_server) as api:
        api.latency = 1.0
        async with watching(shared_server, (SERVICES,), kubeconfig=api.kubeconfig()) as (cluster, seen):
            await until(lambda: "cart" in seen.names(SERVICES, "late"), 30, "listed")
            await kube.apply(*(service("late", f"s{n}") for n in range(5)))
            await kube.delete(service("late", "cart"))
            await until(lambda: seen.names(SERVICES, "late") == {f"s{n}" for n in range(5)}, why="every change")
            await settled(lambda: len(seen.batches), 0.5)
            assert [key.name for key in seen.removed] == ["cart"]
            assert cluster.findings == ()
