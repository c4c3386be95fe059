"""The case of tables that share a host on some ports, with the same expectations, at an Istio gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hosts_on_ports import ANSWERS, CASE, CLUSTER
from listener_envoy import Client
from test_hosts_on_ports import test_a_host_is_served_on_each_port_by_the_tables_of_that_port  # noqa: F401

from tests.fleet.fleet_network import until
from tests.golden.golden_case import for_istio
from tests.kube.api_server import running_api_server
from tests.kube.istio_cases import ADDRESS, SELECTOR, hosts_of
from tests.kube.istiod import IstioGateway, Proxy, running_istiod
from tests.kube.kube_client import KubeClient, namespace

PORTS = {asked.port for asked in ANSWERS}


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Client]:
    found = for_istio(CASE.objects()).objects
    objects = [json.loads(obj.body) for key, obj in found.items() if key.cluster == CLUSTER]
    async with running_api_server("one", folder / "server") as server, KubeClient(server) as kube:
        await kube.apply(namespace("gw"))
        async with running_istiod(server, kube, "one", objects) as istiod:
            gateway = IstioGateway(istiod, Proxy(ADDRESS, dict(SELECTOR)))
            try:
                await until(lambda: _complete(gateway), 20, lambda: gateway.said()[-3000:] + istiod.said()[-4000:])
                yield Client({port: port for port in PORTS}, folder, [])
            finally:
                gateway.close()


async def _complete(gateway: IstioGateway) -> bool:
    return await gateway.listeners() >= PORTS and len(await hosts_of(gateway)) >= len(PORTS)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    loop = asyncio.new_event_loop()
    gateway = running(tmp_path_factory.mktemp("istio"))
    try:
        yield loop.run_until_complete(gateway.__aenter__())
    finally:
        loop.run_until_complete(gateway.__aexit__(None, None, None))
        loop.close()
