"""A real istiod beside a real API server, and Envoys that are its ingress gateways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import yaml

from tests.fleet.fleet_network import free_port, until
from tests.fleet.fleet_processes import Process, envoy
from tests.kube import tools
from tests.kube.api_server import ApiServer
from tests.kube.kube_client import KubeClient, namespace

Object = dict[str, Any]
LOOPBACK = "127.0.0.1"
_ENVIRONMENT = {
    "POD_NAME": "istiod",
    "POD_NAMESPACE": "istio-system",
    "ENABLE_CA_SERVER": "false",
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "PILOT_DISABLE_MX_ALPN": "true",
    "PILOT_ENABLE_TELEMETRY_LABEL": "false",
    "PILOT_ENABLE_GATEWAY_API": "false",
    "PILOT_DEBOUNCE_AFTER": "1ms",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
}
_MESH = {"enableAutoMtls": False, "ingressControllerMode": "OFF", "defaultProviders": {}}


def istio_crds() -> list[Object]:
    return [crd for crd in yaml.load_all(tools.istio_crds().read_bytes(), yaml.CSafeLoader) if crd]


async def install_crds(kube: KubeClient) -> None:
    await kube.apply(namespace("istio-system"))
    await kube.install(*istio_crds())


class Istiod:
    """Istio's CRDs have to be served before it starts."""

    def __init__(
        self,
        server: ApiServer,
        cluster: str,
        environment: Mapping[str, str] | None = None,
        mesh: Mapping[str, Any] | None = None,
        address: str = LOOPBACK,
    ) -> None:
        """`address`: where proxies reach it; one of pods is not in this network namespace."""
        self.server, self.cluster, self._mesh = server, cluster, _MESH | dict(mesh or {})
        self.address = address
        self._environment = _ENVIRONMENT | dict(environment or {})
        self.xds_port, self._http_port, self._monitoring_port = free_port(), free_port(), free_port()
        self._process: Process | None = None

    async def start(self) -> None:
        self._process = Process(self._command(), self.server.folder / "istiod.log")
        await until(self._ready, 60, lambda: self.said()[-3000:])

    def said(self) -> str:
        return self._process.said() if self._process else ""

    async def debug(self, path: str) -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{self._http_port}{path}")
        return answer.json()

    async def refusal(self, obj: Object) -> str:
        """What Istio's validation webhook says against the object; nothing when it is taken."""
        kind, (group, version) = obj["kind"], obj["apiVersion"].split("/")
        request = {
            "uid": "1",
            "kind": {"group": group, "version": version, "kind": kind},
            "operation": "CREATE",
            "object": obj,
            "userInfo": {},
        }
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"http://127.0.0.1:{self._http_port}/validate", json=review)
        assert answer.is_success, answer.text
        response = answer.json()["response"]
        return "" if response["allowed"] else str(response["status"]["message"])

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()

    async def _ready(self) -> bool:
        if self._process is not None and self._process.has_ended:
            raise AssertionError(f"istiod ended: {self.said()[-3000:]}")
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.get(f"http://127.0.0.1:{self._http_port}/ready")).status_code == 200
            except httpx.TransportError:
                return False

    def _command(self) -> list[str]:
        folder = self.server.folder
        mesh, networks = folder / "mesh.yaml", folder / "networks.yaml"
        mesh.write_text(yaml.safe_dump(self._mesh))
        networks.write_text("networks: {}\n")
        return [
            "/usr/bin/env",
            *(f"{name}={value}" for name, value in self._environment.items()),
            tools.binary("pilot-discovery"),
            "discovery",
            "--registries=Kubernetes",
            f"--kubeconfig={self.server.kubeconfig()}",
            f"--meshConfig={mesh}",
            f"--networksConfig={networks}",
            f"--clusterID={self.cluster}",
            "--domain=cluster.local",
            f"--grpcAddr={self.address}:{self.xds_port}",
            "--secureGRPCAddr=",
            "--httpsAddr=",
            f"--httpAddr=127.0.0.1:{self._http_port}",
            f"--monitoringAddr=127.0.0.1:{self._monitoring_port}",
            f"--ctrlz_port={free_port()}",
        ]


class Proxy(NamedTuple):
    """Who an Envoy says it is. `token` proves its service account to istiod; `sds_port` (of the address where istiod
    is) is where it gets its workload certificate.
    """

    address: str
    labels: Mapping[str, str]
    namespace: str = "gw"
    token: str = ""
    sds_port: int = 0
    region: str = ""
    name: str = ""
    account: str = "gateway"


def gateway_bootstrap(istiod: Istiod, proxy: Proxy) -> Object:
    """An Envoy that calls itself an Istio gateway."""
    metadata = {
        "NAMESPACE": proxy.namespace,
        "CLUSTER_ID": istiod.cluster,
        "LABELS": dict(proxy.labels),
        "ISTIO_VERSION": "1.31.1",
        "SERVICE_ACCOUNT": proxy.account,
        "UNPRIVILEGED_POD": "true",
    }
    service: Object = {"envoy_grpc": {"cluster_name": "istiod"}}
    if proxy.token:
        service["initial_metadata"] = [{"key": "authorization", "value": f"Bearer {proxy.token}"}]
    ads = {"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": [service]}
    name = f"{proxy.name or 'gateway-' + proxy.address.rpartition('.')[2]}.{proxy.namespace}"
    clusters = [_grpc("istiod", istiod.address, istiod.xds_port)]
    if proxy.sds_port:
        clusters.append(_grpc("sds-grpc", istiod.address, proxy.sds_port))
    return {
        "node": {
            "id": f"router~{proxy.address}~{name}~{proxy.namespace}.svc.cluster.local",
            "cluster": "gateway",
            "locality": {"region": proxy.region},
            "metadata": metadata,
        },
        "admin": {"address": {"socket_address": {"address": LOOPBACK, "port_value": free_port()}}},
        "dynamic_resources": {"ads_config": ads, "cds_config": _ads(), "lds_config": _ads()},
        "static_resources": {"clusters": clusters},
        # As in the bootstrap of Istio's own proxies.
        "layered_runtime": {
            "layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 32768}}]
        },
    }


def _grpc(name: str, host: str, port: int) -> Object:
    http2 = {"explicit_http_config": {"http2_protocol_options": {}}}
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    address = {"socket_address": {"address": host, "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {options: {"@type": f"type.googleapis.com/{options}", **http2}},
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def _ads() -> Object:
    return {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


class IstioGateway:
    """The Envoy of the wheel, told everything by istiod."""

    def __init__(self, istiod: Istiod, proxy: Proxy) -> None:
        bootstrap = gateway_bootstrap(istiod, proxy)
        self.admin_port: int = bootstrap["admin"]["address"]["socket_address"]["port_value"]
        self._process = envoy(istiod.server.folder, f"gateway-{proxy.address}", bootstrap)

    def said(self) -> str:
        return self._process.said()

    async def listeners(self) -> set[int]:
        """The ports of those that take connections."""
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                found = (await client.get(f"http://127.0.0.1:{self.admin_port}/listeners?format=json")).json()
        except httpx.TransportError:
            return set()
        return {s["local_address"]["socket_address"]["port_value"] for s in found.get("listener_statuses", ())}

    async def dump(self) -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{self.admin_port}/config_dump?include_eds")).json()

    def close(self) -> None:
        self._process.kill()


@asynccontextmanager
async def running_istiod(
    server: ApiServer,
    kube: KubeClient,
    cluster: str,
    objects: Iterable[Object] = (),
    *,
    environment: Mapping[str, str] | None = None,
    mesh: Mapping[str, Any] | None = None,
    address: str = LOOPBACK,
) -> AsyncIterator[Istiod]:
    """`objects` are there before istiod starts."""
    await install_crds(kube)
    await kube.apply(*objects)
    istiod = Istiod(server, cluster, environment, mesh, address)
    try:
        await istiod.start()
        yield istiod
    finally:
        istiod.close()
