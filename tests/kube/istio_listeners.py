"""The listeners of `tests/conformance/listeners` at an Istio gateway; their certificates are Secrets that istiod hands
on to a gateway that proves who it is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from listener_certificates import Certificate, issue
from listener_envoy import Client

from fingerpost.api.internal.discovered_gateway import DiscoveredGatewaySpec, GatewayPort
from fingerpost.api.networking.virtual_gateway import VirtualGatewaySpec
from fingerpost.objects import ObjectKey
from mgmt.translate import ir
from mgmt.translate.emit.istio.gateway import emit_gateway, gateway_name
from mgmt.translate.emit.istio.objects import Emitted
from mgmt.translate.emit.istio.virtual_service import Door, Served, emit_virtual_services
from mgmt.translate.routing.gateway_plan import GatewayListeners, merge_gateway
from mgmt.translate.routing.listeners import compile_listeners, resolve_listeners
from tests.fleet.fleet_network import until
from tests.kube.api_server import running_api_server
from tests.kube.istio_cases import ADDRESS, SELECTOR, SERVICE, SITE, VIRTUAL, hosts_of
from tests.kube.istiod import IstioGateway, Object, Proxy, running_istiod
from tests.kube.kube_client import KubeClient, namespace

_SHIFT = 18000  # from the Service's port to where the proxy listens
_ACCOUNT = "gateway"
_MAY = "gateway-secrets"


def emitted(listeners: str, hosts: Mapping[str, tuple[str, ...]]) -> list[Emitted]:
    """Every host answers with the name of the RouteConfiguration that an Envoy gateway would have, and its own."""
    spec = msgspec.convert({"listeners": yaml.safe_load(listeners)}, VirtualGatewaySpec)
    plans, problems = compile_listeners(VIRTUAL, spec)
    ports = tuple(GatewayPort(number=n, target=n + _SHIFT) for n in sorted({p.port_number for p in plans}))
    resolved, misses = resolve_listeners(plans, SERVICE, DiscoveredGatewaySpec(ports=ports))
    plan, conflicts = merge_gateway([GatewayListeners(VIRTUAL, resolved)])
    assert (problems, misses, conflicts) == ((), (), ())
    out = [emit_gateway(SITE, VIRTUAL, SERVICE, SELECTOR, resolved, plan)]
    for number, (config, found) in enumerate(hosts.items()):
        port = int(config.split(".")[1])
        door = Door(
            gateway=gateway_name(VIRTUAL, SERVICE), selector=SELECTOR, feeds=((port, port + _SHIFT),), narrow=True
        )
        for i, host in enumerate(found):
            table = ObjectKey("networking.gloo.solo.io/RouteTable", "mgmt", "shop", f"table-{number}-{i}")
            route = ir.Route(
                name=table.name,
                source=ir.Source(table, "spec.http[0]"),
                chain=(table,),
                matchers=(ir.Matcher(),),
                action=ir.DirectResponse(status=200, body=f"{config} {host}"),
            )
            out.append(emit_virtual_services(SITE, table, [route], [Served(hosts=(host,), doors=(door,))]))
    return out


def secret_of(name: str, **data: bytes) -> Object:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    metadata = {"name": name, "namespace": SITE.namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


def secret_rights() -> list[Object]:
    group, account = "rbac.authorization.k8s.io", {"name": _ACCOUNT, "namespace": SITE.namespace}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": _MAY}, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": _MAY},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": _MAY},
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    ]


async def gateway_token(kube: KubeClient) -> str:
    path = f"/api/v1/namespaces/{SITE.namespace}/serviceaccounts/{_ACCOUNT}/token"
    spec = {"audiences": ["istio-ca"], "expirationSeconds": 3600}
    answer = await kube.http.post(
        path, json={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    )
    assert answer.is_success, answer.text
    return str(answer.json()["status"]["token"])


@asynccontextmanager
async def running_istio_listeners(
    folder: Path, listeners: str, hosts: Mapping[str, tuple[str, ...]]
) -> AsyncIterator[Client]:
    ca, stranger = issue("ca"), issue("stranger-ca")
    (folder / "ca.pem").write_bytes(ca.pem)
    for name, found in {"client": issue("client", ca), "stranger": issue("stranger", stranger)}.items():
        (folder / f"{name}.crt").write_bytes(found.pem)
        (folder / f"{name}.key").write_bytes(found.key_pem)
    served: dict[str, Certificate] = {name: issue(f"{name}.example", ca) for name in ("a", "b", "strict", "edge-mtls")}
    secrets = [secret_of(name, **{"tls.crt": c.pem, "tls.key": c.key_pem}) for name, c in served.items()]
    secrets.append(secret_of("edge-mtls-cacert", cacert=ca.pem))
    objects = [json.loads(obj.body) for one in emitted(listeners, hosts) for obj in one.objects]
    async with running_api_server("one", folder / "server") as server, KubeClient(server) as kube:
        await kube.apply(namespace(SITE.namespace), *secret_rights(), *secrets)
        async with running_istiod(server, kube, "one", objects, environment={"XDS_AUTH_PLAINTEXT": "true"}) as istiod:
            for obj in objects:
                assert not (said := await istiod.refusal(obj)), f"{obj['metadata']['name']}: {said}"
            gateway = IstioGateway(istiod, Proxy(ADDRESS, dict(SELECTOR), token=await gateway_token(kube)))
            try:
                wanted = {int(c.split(".")[1]) for c in hosts} | {82}
                await until(
                    lambda: _complete(gateway, wanted), 20, lambda: gateway.said()[-3000:] + istiod.said()[-4000:]
                )
                yield Client({n: n + _SHIFT for n in wanted}, folder, [])
            finally:
                gateway.close()


async def _complete(gateway: IstioGateway, ports: set[int]) -> bool:
    """All listeners are warm, and have routes."""
    dump: Any = await gateway.listeners()
    return {port + _SHIFT for port in ports} <= dump and len(await hosts_of(gateway)) >= len(ports)
