"""A request through what a person writes by hand for Istio: the ground on which the emitter's objects are judged."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.fleet.fleet_network import backend, until
from tests.kube.api_server import running_api_server
from tests.kube.istiod import IstioGateway, Object, Proxy, running_istiod
from tests.kube.kube_client import KubeClient, endpoint_slice, namespace, service

GATEWAY, POD = "192.0.2.1", "192.0.2.10"
LABELS = {"istio": "ingressgateway"}


def written() -> list[Object]:
    istio = "networking.istio.io/v1"
    where = {"name": "edge", "namespace": "gw"}
    server = {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    route = {"destination": {"host": "cart.shop.svc.cluster.local", "port": {"number": 80}}}
    virtual = {"hosts": ["www.example"], "gateways": ["edge"], "http": [{"route": [route]}]}
    return [
        {"apiVersion": istio, "kind": "Gateway", "metadata": where, "spec": {"selector": LABELS, "servers": [server]}},
        {"apiVersion": istio, "kind": "VirtualService", "metadata": where, "spec": virtual},
    ]


async def test_a_hand_written_route_is_answered(folder: Path) -> None:
    async with running_api_server("one", folder) as server, KubeClient(server) as kube:
        await kube.apply(*(namespace(n) for n in ("gw", "shop")))
        await kube.apply(service("shop", "cart"), endpoint_slice("shop", "cart", 80, POD))
        async with running_istiod(server, kube, "one", written()) as istiod, backend(POD, "pod", 80):
            gateway = IstioGateway(istiod, Proxy(GATEWAY, LABELS))
            try:
                async with httpx.AsyncClient(trust_env=False) as client:

                    async def answer() -> str:
                        try:
                            found = await client.get(f"http://{GATEWAY}:8080/", headers={"host": "www.example"})
                        except httpx.TransportError as wrong:
                            return type(wrong).__name__
                        return f"{found.status_code} {found.text}"

                    async def answered() -> bool:
                        return await answer() == "200 pod"

                    await until(answered, 30, lambda: gateway.said()[-2000:] + istiod.said()[-2000:])
            finally:
                gateway.close()
