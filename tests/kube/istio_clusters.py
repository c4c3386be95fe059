"""Clusters of a `KubeFleet` whose gateway is an Envoy of Istio: a real istiod tells it what the agent has written."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import Answer, until
from tests.kube.istiod import Istiod, IstioGateway, Proxy, running_istiod
from tests.kube.kube_fleet import KubeFleet

PORT = 18080  # where the gateway listens, on all addresses of the machine: only one cluster of a test can have one
_LABELS = {"app": "gateway", "istio": "ingressgateway"}


def istio_gateway(cluster: str, address: str) -> list[m.Object]:
    """The Service `gw/ingress` with one pod, as Istio's own charts make it."""
    node, service, pod = m.gateway(cluster, address)
    service["spec"]["ports"] = [{"name": "http2", "port": 80, "targetPort": PORT}]
    service["metadata"]["labels"] = {"istio": "ingressgateway"}
    pod["metadata"]["labels"] = _LABELS
    pod["spec"]["containers"] = [{"name": "istio-proxy", "image": "none", "args": ["proxy", "router"]}]
    return [node, service, pod]


async def start_istio(fleet: KubeFleet, cluster: str, stack: AsyncExitStack) -> tuple[Istiod, IstioGateway]:
    """Its CRDs are there when this returns."""
    running = running_istiod(fleet.servers[cluster], fleet.kubes[cluster], cluster)
    istiod = await stack.enter_async_context(running)
    gateway = IstioGateway(istiod, Proxy(fleet.address(cluster), _LABELS))
    stack.callback(gateway.close)
    return istiod, gateway


async def ask(fleet: KubeFleet, path: str, host: str = m.HOST) -> Answer:
    return await fleet.client.get("127.0.0.1", path, host, port=PORT)


async def answers(fleet: KubeFleet, path: str, text: str, gateway: IstioGateway) -> None:
    """Until the Istio gateway answers so."""
    last: list[Answer] = []

    async def asked() -> bool:
        last[:] = [await ask(fleet, path)]
        return last[0] == Answer(200, text)

    await until(asked, 30, lambda: f"{path} with {text!r}: {last} {gateway.said()[-2000:]}")


async def written(fleet: KubeFleet, cluster: str, kind: str) -> dict[str, dict[str, Any]]:
    """namespace/name -> the Istio objects of a kind that are in the cluster."""
    plural = {"VirtualService": "virtualservices", "Gateway": "gateways", "DestinationRule": "destinationrules"}[kind]
    found = (await fleet.kubes[cluster].http.get(f"/apis/networking.istio.io/v1beta1/{plural}")).json()
    return {f"{o['metadata']['namespace']}/{o['metadata']['name']}": o for o in found["items"]}
