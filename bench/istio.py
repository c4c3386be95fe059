"""An edit at the API server to the first right answer, over three paths in turn: our server, agent and a plain Envoy;
our server, agent, istiod and its Envoy; and the same route written straight to that istiod.

`python -m bench.istio TABLES EDITS`. Each path has a third of the tables at a gateway of its own.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.figures import emit, say, spread
from bench.gateway import Client
from bench.kube import CLUSTER, agent, begin_world, management, run
from bench.processes import envoy, fetch
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import backend
from tests.kube.api_server import ApiServer, running_api_server
from tests.kube.istiod import IstioGateway, Proxy, install_crds, running_istiod
from tests.kube.kube_client import KubeClient, namespace

PLAIN, ISTIO, DIRECT = "envoy", "istio", "istiod-direct"
_POD, _LOCAL = "192.0.2.42", "127.0.0.1"
_ANSWER = "backend"
_PAUSE = 0.001  # between two looks


class Gateway(NamedTuple):
    """`namespace` holds its Service, its pod and, on the direct path, its routes."""

    path: str
    namespace: str
    address: str  # of its pod
    port: int  # where it listens

    @property
    def labels(self) -> dict[str, str]:
        return {"app": f"gateway-{self.namespace}"}


GATEWAYS = (
    Gateway(PLAIN, "gw", "192.0.2.33", 8080),
    Gateway(ISTIO, "gw-istio", "192.0.2.34", 18080),
    Gateway(DIRECT, "gw-direct", "192.0.2.35", 18081),
)


def _gateway_objects(gateway: Gateway) -> list[m.Object]:
    labels = gateway.labels
    container: dict[str, Any] = {"name": "main", "image": "none"}
    if gateway.path == PLAIN:
        labels = {**labels, "gateway.gloo.solo.io/type": "envoy"}
    else:
        container = {"name": "istio-proxy", "image": "none", "args": ["proxy", "router"]}
    pod = m.pod(gateway.namespace, "gateway", gateway.address, "node-mgmt", labels)
    pod["spec"]["containers"] = [container]
    ports = [{"name": "http2", "port": 80, "targetPort": gateway.port}]
    spec = {"selector": gateway.labels, "ports": ports}
    return [namespace(gateway.namespace), m.core("Service", gateway.namespace, "ingress", spec=spec), pod]


def _host(gateway: Gateway, number: int) -> str:
    return f"host-{number}.{gateway.namespace}.example"


def _table(gateway: Gateway, number: int, edit: int) -> m.Object:
    cart = {"ref": {"name": "cart", "namespace": "shop"}, "port": {"number": 8000}}
    routes = [m.to(f"/cart-{edit}", cart), m.says("/hello", "hello"), m.says("/bye", "bye")]
    edge = (gateway.namespace, gateway.namespace)
    return m.table(f"table-{number}", routes, host=_host(gateway, number), namespace=gateway.namespace, edge=edge)


def _virtual_service(gateway: Gateway, number: int, edit: int) -> m.Object:
    """What our emitter makes of the table."""
    cart = {"destination": {"host": "cart.shop.svc.cluster.local", "port": {"number": 8000}}}
    says = [
        {"match": [{"uri": {"exact": f"/{word}"}}], "directResponse": {"status": 200, "body": {"string": word}}}
        for word in ("hello", "bye")
    ]
    spec = {
        "hosts": [_host(gateway, number)],
        "gateways": ["edge"],
        "http": [{"match": [{"uri": {"prefix": f"/cart-{edit}"}}], "route": [cart]}, *says],
    }
    metadata = {"name": f"table-{number}", "namespace": gateway.namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}


def _edge(gateway: Gateway) -> m.Object:
    if gateway.path != DIRECT:
        spec: dict[str, Any] = {
            "workloads": [{"selector": {"labels": gateway.labels}}],
            "listeners": [{"http": {}, "port": {"number": 80}}],
        }
        return m.gloo("VirtualGateway", gateway.namespace, gateway.namespace, spec)
    servers = [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]
    metadata = {"name": "edge", "namespace": gateway.namespace}
    spec = {"selector": gateway.labels, "servers": servers}
    return {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}


def _routes(gateway: Gateway, number: int, edit: int) -> m.Object:
    return (_virtual_service if gateway.path == DIRECT else _table)(gateway, number, edit)


async def _apply_world(kube: KubeClient, tables: int) -> None:
    await begin_world(kube)
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-mgmt", "labels": {}}}
    await kube.apply(node, *m.service(CLUSTER, "cart", [_POD]))
    for gateway in GATEWAYS:
        await kube.apply(*_gateway_objects(gateway), _edge(gateway))
        await kube.apply(*(_routes(gateway, number, 0) for number in range(tables // len(GATEWAYS))))


@asynccontextmanager
async def _running(root: Path, server: ApiServer, kube: KubeClient) -> AsyncIterator[None]:
    async with running_istiod(server, kube, CLUSTER) as istiod:
        with ExitStack() as stack:
            _, told = stack.enter_context(agent(root, server, stack.enter_context(management(root, server))))
            for gateway in GATEWAYS:
                if gateway.path == PLAIN:
                    query = f"gateway={gateway.namespace}/ingress&bind={_LOCAL}&instance=gateway"
                    found = await asyncio.to_thread(fetch, f"http://{_LOCAL}:{told['admin']}/bootstrap?{query}")
                    stack.enter_context(envoy(root, "envoy", found))
                else:
                    proxy = IstioGateway(istiod, Proxy(gateway.address, gateway.labels, gateway.namespace))
                    stack.callback(proxy.close)
            yield


async def _answered(client: Client, gateway: Gateway, number: int, edit: int) -> None:
    while await client.get(_host(gateway, number), f"/cart-{edit}") != 200:
        await asyncio.sleep(_PAUSE)


async def _edits(kube: KubeClient, tables: int, edits: int) -> dict[str, list[float]]:
    clients = {g: Client(g.port, _LOCAL, _ANSWER.encode()) for g in GATEWAYS}
    count = tables // len(GATEWAYS)
    for gateway, client in clients.items():
        say("waiting for the gateway", gateway.path)
        async with asyncio.timeout(120):
            for number in range(count):
                await _answered(client, gateway, number, 0)
    times: dict[str, list[float]] = {g.path: [] for g in GATEWAYS}
    for edit in range(1, edits + 1):
        for gateway, client in clients.items():
            number = edit * 37 % count
            obj = _routes(gateway, number, edit)
            async with asyncio.timeout(30):
                began = time.perf_counter()
                applied = asyncio.create_task(kube.apply(obj), name="bench.apply")
                await _answered(client, gateway, number, edit)
                times[gateway.path].append((time.perf_counter() - began) * 1000)
                await applied
    return times


async def measure(root: Path, tables: int, edits: int) -> None:
    async with running_api_server(CLUSTER, root / "api") as server, KubeClient(server) as kube:
        await install_crds(kube)
        await _apply_world(kube, tables)
        async with backend(_POD, _ANSWER), _running(root, server, kube):
            times = await _edits(kube, tables, edits)
    for path, found in times.items():
        emit("istio", path=path, tables=tables, edits=edits, **spread("", found))


if __name__ == "__main__":
    sys.exit(run("bench.istio", measure))
