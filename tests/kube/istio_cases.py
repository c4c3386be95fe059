"""The cases of `tests/conformance/routes` at an Istio gateway: emitted objects, a real API server, istiod and Envoy."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
import yaml
from case_gateway import DECLARED, HALF_DEAD, Gateway, echo

from fingerpost.api.internal.discovered_gateway import DiscoveredGatewaySpec, GatewayPort
from fingerpost.api.networking.virtual_gateway import VirtualGatewaySpec
from fingerpost.objects import ObjectKey
from mgmt.translate.emit.istio.destination_rule import emit_service_rule
from mgmt.translate.emit.istio.gateway import emit_gateway, gateway_name
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.objects import Emitted
from mgmt.translate.emit.istio.virtual_service import Door, Served, emit_virtual_services
from mgmt.translate.ir import Destination
from mgmt.translate.routing.gateway_plan import GatewayListeners, merge_gateway
from mgmt.translate.routing.listeners import compile_listeners, resolve_listeners
from tests.fleet.fleet_network import until
from tests.kube.api_server import running_api_server
from tests.kube.istiod import IstioGateway, Object, Proxy, running_istiod
from tests.kube.kube_client import KubeClient, endpoint_slice, namespace

VIRTUAL = ObjectKey("networking.gloo.solo.io/VirtualGateway", "mgmt", "gw", "edge")
SERVICE = ObjectKey("core/Service", "one", "gw", "ingress")
SITE = Site(cluster="one", namespace="gw", workspace="all")
ADDRESS = "192.0.2.1"
SELECTOR = (("app", "gateway"), ("istio", "ingressgateway"))
PORTS = {80: 18080, 443: 18443}  # of the gateway Service -> where the proxy listens
_POD_PORT = 8080


def emitted() -> list[Emitted]:
    spec = msgspec.convert(
        {"listeners": yaml.safe_load("[{http: {}, port: {number: 80}}, {http: {}, port: {number: 443}}]")},
        VirtualGatewaySpec,
    )
    plans, problems = compile_listeners(VIRTUAL, spec)
    discovered = DiscoveredGatewaySpec(ports=tuple(GatewayPort(number=n, target=t) for n, t in PORTS.items()))
    listeners, misses = resolve_listeners(plans, SERVICE, discovered)
    plan, conflicts = merge_gateway([GatewayListeners(VIRTUAL, listeners)])
    assert (problems, misses, conflicts) == ((), (), ())
    door = Door(gateway=gateway_name(VIRTUAL, SERVICE), selector=SELECTOR, feeds=tuple(PORTS.items()))
    out = [emit_gateway(SITE, VIRTUAL, SERVICE, SELECTOR, listeners, plan)]
    used: dict[ObjectKey, set[Destination]] = {}
    for case in DECLARED.values():
        served = Served(hosts=case.plan.hosts, doors=(door,))
        out.append(emit_virtual_services(SITE, case.plan.key, case.resolved.routes, [served]))
        for destination in case.resolved.destinations:
            used.setdefault(destination.object, set()).add(destination)
    out += [emit_service_rule(SITE, service, found) for service, found in used.items()]
    return out


class Pods:
    """A pod for each destination that the cases use, with the labels of its subset; it answers with the name of the
    cluster that Envoy has for the destination.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._next = stack, 10
        used = sorted(
            {d for case in DECLARED.values() for d in case.resolved.destinations}, key=lambda d: d.cluster_name
        )
        self._of: dict[ObjectKey, list[tuple[str, Mapping[str, str]]]] = {}
        for destination in used:
            self._start(destination)

    def _start(self, destination: Destination) -> None:
        address = self._address()
        server = echo(destination.cluster_name, address, _POD_PORT)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self._stack.callback(_end, server)
        pods = self._of.setdefault(destination.object, [])
        pods.append((address, dict(destination.subset)))
        if destination.object.name == HALF_DEAD:
            pods.append((self._address(), {}))  # nobody listens there

    def _address(self) -> str:
        self._next += 1
        return f"192.0.2.{self._next}"

    def objects(self) -> list[Object]:
        return [obj for service, pods in self._of.items() for obj in _service(service, pods)]


def _end(server: ThreadingHTTPServer) -> None:
    server.shutdown()
    server.server_close()


def _service(key: ObjectKey, pods: list[tuple[str, Mapping[str, str]]]) -> list[Object]:
    where = {"name": key.name, "namespace": key.namespace}
    spec = {"ports": [{"name": "http", "port": 8080}], "selector": {"app": key.name}}
    out: list[Object] = [{"apiVersion": "v1", "kind": "Service", "metadata": where, "spec": spec}]
    entry = endpoint_slice(key.namespace, key.name, _POD_PORT, *(address for address, _ in pods))
    for i, (address, labels) in enumerate(pods):
        name = f"{key.name}-{i}"
        metadata = {"name": name, "namespace": key.namespace, "labels": {"app": key.name, **labels}}
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        pod = {"containers": [{"name": "app", "image": "app"}], "nodeName": "node"}
        out.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod, "status": status})
        entry["endpoints"][i]["targetRef"] = {"kind": "Pod", "name": name, "namespace": key.namespace}
    return [*out, entry]


@asynccontextmanager
async def running_istio_gateway(folder: Path) -> AsyncIterator[Gateway]:
    objects = [json.loads(obj.body) for found in emitted() for obj in found.objects]
    with ExitStack() as stack:
        pods = Pods(stack).objects()
        async with running_api_server("one", folder) as server, KubeClient(server) as kube:
            await kube.apply(*(namespace(n) for n in ("gw", "shop")), *pods)
            async with running_istiod(server, kube, "one", objects) as istiod:
                gateway = IstioGateway(istiod, Proxy(ADDRESS, dict(SELECTOR)))
                stack.callback(gateway.close)
                for obj in objects:
                    assert not (said := await istiod.refusal(obj)), f"{obj['kind']} {obj['metadata']['name']}: {said}"
                await until(lambda: _complete(gateway), 20, lambda: gateway.said()[-2000:] + istiod.said()[-4000:])
                yield Gateway(PORTS)


async def _complete(gateway: IstioGateway) -> bool:
    """Every host has its routes on both ports."""
    served = await hosts_of(gateway)
    missing = (
        {case.host.lower() for case in DECLARED.values()} - set.intersection(*served.values()) if served else {"*"}
    )
    return len(served) == len(PORTS) and not missing


async def hosts_of(gateway: IstioGateway) -> dict[str, set[str]]:
    """RouteConfiguration -> hosts."""
    out: dict[str, set[str]] = {}
    try:
        dump = await gateway.dump()
    except httpx.TransportError:
        return {}
    for section in dump["configs"]:
        for entry in section.get("dynamic_route_configs", []):
            config: dict[str, Any] = entry["route_config"]
            out[config["name"]] = {d for host in config.get("virtual_hosts", []) for d in host["domains"]}
    return out
