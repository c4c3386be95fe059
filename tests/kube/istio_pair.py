"""Two API servers with istiod and one Envoy of Istio each: `east` has an ingress gateway, `west` an east-west gateway,
and both a pod of Service `shop/cart`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import yaml
from listener_certificates import Certificate

from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from tests.istio_world import IstioWorld
from tests.kube.api_server import running_api_server
from tests.kube.istiod import Istiod, IstioGateway, Object, Proxy, running_istiod
from tests.kube.kube_client import KubeClient, endpoint_slice, namespace
from tests.kube.workload_certificates import serving
from tests.plain_world import HOME, PLACE, entry

EAST_GATEWAY, EAST_POD = "192.0.2.33", "192.0.2.42"
WEST_GATEWAY, WEST_POD = "192.0.2.65", "192.0.2.74"
HTTP, DOOR, PASSAGE, POD, ADMIN = 18080, 16443, 15443, 8080, 8081
SNI = "sniRouting"
ADMINISTRATION = f"""{HOME}
- {{apiVersion: v1, kind: Namespace, metadata: {{name: gw}}}}
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {{name: edge, namespace: gw}}
  spec: {{workloads: [{{selector: {{cluster: east}}}}], listeners: [{{http: {{}}, port: {{number: 80}}}}]}}
"""
GATEWAYS = {
    "east": f"""
- apiVersion: internal.gloo.solo.io/v2
  kind: DiscoveredGateway
  metadata: {{name: ingress, namespace: gw}}
  spec:
    workloadLabels: {{istio: ingressgateway}}
    ports: [{{number: 80, name: http2, target: {HTTP}}}]
    serviceAccounts: [gateway]
""",
    "west": f"""
- apiVersion: internal.gloo.solo.io/v2
  kind: DiscoveredGateway
  metadata: {{name: ew, namespace: gw}}
  spec:
    workloadLabels: {{istio: eastwestgateway}}
    ports: [{{number: 443, name: https, target: {DOOR}}}, {{number: 15443, name: tls, target: {PASSAGE}}}]
    externalAddresses: [{{address: {WEST_GATEWAY}, ports: {{'443': {DOOR}}}, region: west-1}}]
    serviceAccounts: [ew]
""",
}
SERVICE = """
- {apiVersion: v1, kind: Namespace, metadata: {name: gw}}
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- apiVersion: v1
  kind: Service
  metadata: {name: cart, namespace: shop, labels: {app: cart}}
  spec:
    ports: [{name: http, port: 8000, targetPort: 8080}, {name: admin, port: 9000, targetPort: 8081}]
    selector: {app: cart}
- apiVersion: fingerpost.dev/v1
  kind: ServiceFacts
  metadata: {name: cart, namespace: shop}
  spec: {readyPorts: [8000, 9000], serviceAccounts: [cart], allSidecars: SIDECARS}
"""


def _objects(text: str, cluster: str) -> dict[ObjectKey, bytes]:
    return dict(entry(cluster, obj) for obj in yaml.safe_load(text))


def emitted(users: str, mode: str) -> tuple[dict[str, list[Object]], Mapping[ObjectKey, tuple[Problem, ...]]]:
    """By cluster what `users`, written in the management cluster, become; and what Istio cannot be told."""
    world = IstioWorld(PLACE)
    objects = _objects(ADMINISTRATION, "mgmt") | _objects(users, "mgmt")
    service = SERVICE.replace("SIDECARS", "true" if mode == SNI else "false")
    for cluster, gateway in GATEWAYS.items():
        objects |= _objects(gateway, cluster) | _objects(service, cluster)
    world.feed(objects.items())
    out: dict[str, list[Object]] = {"east": [], "west": []}
    for key, obj in world.graph.objects.items.items():
        out[key.cluster].append(json.loads(obj.body))
    return out, world.graph.problems.items


def _cluster(region: str, pod: str, mode: str) -> list[Object]:
    sidecar_label = {"security.istio.io/tlsMode": "istio"} if mode == SNI else {}
    labels = {"topology.kubernetes.io/region": region}
    status = {
        "phase": "Running",
        "podIP": pod,
        "podIPs": [{"ip": pod}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    spec = {"containers": [{"name": "app", "image": "app"}], "nodeName": "node"}
    entry = endpoint_slice("shop", "cart", POD, pod)
    entry["endpoints"][0] |= {"nodeName": "node", "targetRef": {"kind": "Pod", "name": "cart-0", "namespace": "shop"}}
    metadata = {"name": "cart-0", "namespace": "shop", "labels": {"app": "cart", **sidecar_label}}
    entry["ports"].append({"name": "admin", "port": ADMIN, "protocol": "TCP"})
    ports = [{"name": "http", "port": 8000, "targetPort": POD}, {"name": "admin", "port": 9000, "targetPort": ADMIN}]
    service = {"ports": ports, "selector": {"app": "cart"}}
    return [
        namespace("gw"),
        namespace("shop"),
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node", "labels": labels}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart", "namespace": "shop"}, "spec": service},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status},
        entry,
    ]


class Cluster:
    def __init__(self, kube: KubeClient, istiod: Istiod, gateway: IstioGateway) -> None:
        self.kube, self.istiod, self.gateway = kube, istiod, gateway

    def said(self) -> str:
        return self.istiod.said()[-3000:] + self.gateway.said()[-3000:]


class Pair:
    """Requests go to the ingress gateway of `east`."""

    def __init__(self, clusters: dict[str, Cluster], client: httpx.AsyncClient) -> None:
        self.clusters, self._client = clusters, client

    async def answer(self, path: str = "/") -> str:
        try:
            found = await self._client.get(f"http://127.0.0.1:{HTTP}{path}", headers={"host": "www.shop.example"})
        except httpx.TransportError as wrong:
            return type(wrong).__name__
        return f"{found.status_code} {found.text}"

    async def answers(self, text: str, path: str = "/") -> bool:
        return await self.answer(path) == text

    def said(self) -> str:
        return "".join(cluster.said() for cluster in self.clusters.values())


@asynccontextmanager
async def running_cluster(
    folder: Path, name: str, objects: list[Object], proxy: Proxy, account: str, ca: Certificate, pod: str, mode: str
) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_api_server(name, folder / name))
        kube = await stack.enter_async_context(KubeClient(server))
        await kube.apply(*_cluster(f"{name}-1", pod, mode))
        mesh = {"enableAutoMtls": True}
        istiod = await stack.enter_async_context(running_istiod(server, kube, name, objects, mesh=mesh))
        for obj in objects:
            assert not (said := await istiod.refusal(obj)), said
        sds = await stack.enter_async_context(serving(f"spiffe://cluster.local/ns/gw/sa/{account}", ca))
        gateway = IstioGateway(istiod, proxy._replace(sds_port=sds, region=f"{name}-1"))
        stack.callback(gateway.close)
        yield Cluster(kube, istiod, gateway)


@asynccontextmanager
async def running_pair(
    folder: Path, objects: dict[str, list[Object]], ca: Certificate, mode: str
) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        clusters: dict[str, Cluster] = {}
        for name, proxy, account, pod in (
            ("west", Proxy(WEST_GATEWAY, {"istio": "eastwestgateway"}), "ew", WEST_POD),
            ("east", Proxy(EAST_GATEWAY, {"istio": "ingressgateway"}), "gateway", EAST_POD),
        ):
            running = running_cluster(folder, name, objects[name], proxy, account, ca, pod, mode)
            clusters[name] = await stack.enter_async_context(running)
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=10))
        yield Pair(clusters, client)
