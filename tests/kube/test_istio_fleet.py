"""Two clusters with Istio: a request at the gateway of one reaches pods of the other through its east-west gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from listener_certificates import Certificate, issue

from fingerpost.objects import ObjectKey, canonical, trim, type_of
from mgmt.translate.graph.ownership import Place
from tests.fleet.fleet_network import backend, until
from tests.istio_world import IstioWorld
from tests.kube.api_server import running_api_server
from tests.kube.istiod import Istiod, IstioGateway, Object, Proxy, running_istiod
from tests.kube.kube_client import KubeClient, endpoint_slice, namespace
from tests.kube.workload_certificates import serving, sidecar

EAST_GATEWAY, EAST_POD = "192.0.2.33", "192.0.2.42"
WEST_GATEWAY, WEST_POD = "192.0.2.65", "192.0.2.74"
HTTP, DOOR, PASSAGE, POD = 18080, 16443, 15443, 8080
SNI = "sniRouting"
WORLD = f"""
mgmt:
- {{apiVersion: v1, kind: Namespace, metadata: {{name: gloo-mesh}}}}
- {{apiVersion: v1, kind: Namespace, metadata: {{name: gw}}}}
- {{apiVersion: v1, kind: Namespace, metadata: {{name: shop}}}}
- {{apiVersion: admin.gloo.solo.io/v2, kind: KubernetesCluster, metadata: {{name: east, namespace: gloo-mesh}}}}
- {{apiVersion: admin.gloo.solo.io/v2, kind: KubernetesCluster, metadata: {{name: west, namespace: gloo-mesh}}}}
- apiVersion: admin.gloo.solo.io/v2
  kind: Workspace
  metadata: {{name: all, namespace: gloo-mesh}}
  spec: {{workloadClusters: [{{name: '*', namespaces: [{{name: '*'}}]}}]}}
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {{name: edge, namespace: gw}}
  spec: {{workloads: [{{selector: {{cluster: east}}}}], listeners: [{{http: {{}}, port: {{number: 80}}}}]}}
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualDestination
  metadata: {{name: cart, namespace: shop}}
  spec:
    hosts: [cart.shop.example]
    services: [{{labels: {{app: cart}}}}]
    ports: [{{number: 80, protocol: HTTP, targetPort: {{name: http}}}}]
    clientMode: {{MODE: {{}}}}
- apiVersion: networking.gloo.solo.io/v2
  kind: RouteTable
  metadata: {{name: www, namespace: shop}}
  spec:
    hosts: [www.shop.example]
    virtualGateways: [{{name: edge, namespace: gw, cluster: mgmt}}]
    http: [{{forwardTo: {{destinations: [{{ref: {{name: cart}}, kind: VIRTUAL_DESTINATION, port: {{number: 80}}}}]}}}}]
- apiVersion: resilience.policy.gloo.solo.io/v2
  kind: OutlierDetectionPolicy
  metadata: {{name: quick, namespace: shop}}
  spec:
    applyToDestinations: [{{kind: VIRTUAL_DESTINATION}}]
    config: {{consecutiveErrors: 1, interval: 1s, baseEjectionTime: 30s}}
east:
- apiVersion: internal.gloo.solo.io/v2
  kind: DiscoveredGateway
  metadata: {{name: ingress, namespace: gw}}
  spec:
    workloadLabels: {{istio: ingressgateway}}
    ports: [{{number: 80, name: http2, target: {HTTP}}}]
    serviceAccounts: [gateway]
west:
- apiVersion: internal.gloo.solo.io/v2
  kind: DiscoveredGateway
  metadata: {{name: ew, namespace: gw}}
  spec:
    workloadLabels: {{istio: eastwestgateway}}
    ports: [{{number: 443, name: https, target: {DOOR}}}, {{number: 15443, name: tls, target: {PASSAGE}}}]
    externalAddresses: [{{address: {WEST_GATEWAY}, ports: {{'443': {DOOR}}}, region: west-1}}]
    serviceAccounts: [ew]
"""
SERVICE = """
- {apiVersion: v1, kind: Namespace, metadata: {name: gw}}
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- apiVersion: v1
  kind: Service
  metadata: {name: cart, namespace: shop, labels: {app: cart}}
  spec: {ports: [{name: http, port: 8000, targetPort: 8080}], selector: {app: cart}}
- apiVersion: fingerpost.dev/v1
  kind: ServiceFacts
  metadata: {name: cart, namespace: shop}
  spec: {readyPorts: [8000], serviceAccounts: [cart], allSidecars: SIDECARS}
"""


def _objects(text: str, clusters: tuple[str, ...]) -> dict[ObjectKey, bytes]:
    out = {}
    found = yaml.safe_load(text)
    for cluster in clusters:
        for obj in found if isinstance(found, list) else found[cluster]:
            type_, meta = type_of(obj["apiVersion"], obj["kind"]), obj["metadata"]
            out[ObjectKey(type_, cluster, meta.get("namespace", ""), meta["name"])] = canonical(trim(type_, obj))
    return out


def emitted(mode: str) -> dict[str, list[Object]]:
    world = IstioWorld(Place(cluster="mgmt", admin_namespace="gloo-mesh"))
    users = _objects(WORLD.replace("MODE", mode), ("mgmt", "east", "west"))
    services = _objects(SERVICE.replace("SIDECARS", "true" if mode == SNI else "false"), ("east", "west"))
    world.feed({**users, **services}.items())
    assert not world.graph.problems.items
    out: dict[str, list[Object]] = {"east": [], "west": []}
    for key, obj in world.graph.objects.items.items():
        out[key.cluster].append(json.loads(obj.body))
    return out


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
    port = {"name": "http", "port": 8000, "targetPort": POD}
    service = {"ports": [port], "selector": {"app": "cart"}}
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


async def _answer(client: httpx.AsyncClient) -> str:
    try:
        found = await client.get(f"http://127.0.0.1:{HTTP}/", headers={"host": "www.shop.example"})
    except httpx.TransportError as wrong:
        return type(wrong).__name__
    return f"{found.status_code} {found.text}"


@pytest.mark.spec("D-24", "D-59")
@pytest.mark.parametrize("mode", [SNI, "tlsTermination"])
async def test_another_cluster_answers_when_the_own_pods_are_gone(tmp_path: Path, mode: str) -> None:
    objects, ca = emitted(mode), issue("root")
    cart = "spiffe://cluster.local/ns/shop/sa/cart"
    tls = sidecar(tmp_path, cart, ca) if mode == SNI else None
    ingress, door = {"istio": "ingressgateway"}, {"istio": "eastwestgateway"}
    async with AsyncExitStack() as stack:
        clusters: dict[str, Any] = {}
        for name, proxy, account, pod in (
            ("west", Proxy(WEST_GATEWAY, door), "ew", WEST_POD),
            ("east", Proxy(EAST_GATEWAY, ingress), "gateway", EAST_POD),
        ):
            running = running_cluster(tmp_path, name, objects[name], proxy, account, ca, pod, mode)
            clusters[name] = await stack.enter_async_context(running)
        await stack.enter_async_context(backend(WEST_POD, "west", POD, tls))
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=10))

        def said() -> str:
            return "".join(cluster.said() for cluster in clusters.values())

        async def answers(text: str) -> bool:
            return await _answer(client) == text

        async with backend(EAST_POD, "east", POD, tls):
            await until(lambda: answers("200 east"), 30, said)
            assert {await _answer(client) for _ in range(20)} == {"200 east"}, "its own pods first"
        await until(lambda: answers("200 west"), 30, said)
        assert {await _answer(client) for _ in range(20)} == {"200 west"}
