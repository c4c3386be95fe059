"""The objects of the fleet's world as plain dictionaries: one gateway per cluster, small services, tables on one
virtual gateway.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
HTTP_PORT = 8080  # of gateways, also of pods
TLS_PORT = 8443
EASTWEST_PORT = 16443
ADMIN_NAMESPACE = "gloo-mesh"
HOST = "www.shop.example"
CART = {"ref": {"name": "cart", "namespace": "shop"}, "kind": "VIRTUAL_DESTINATION", "port": {"number": 80}}


def write(path: Path, *objects: Object) -> None:
    """In one move, as a careful editor does."""
    write_text(path, "---\n".join(yaml.dump(o, Dumper=yaml.CSafeDumper, sort_keys=False) for o in objects))


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    os.replace(fresh, path)


def gloo(kind: str, namespace: str, name: str, spec: Object, group: str = "networking") -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{group}.gloo.solo.io/v2", "kind": kind, "metadata": metadata, "spec": spec}


def core(kind: str, namespace: str, name: str, *, labels: dict[str, str] | None = None, **rest: Any) -> Object:
    metadata = {"name": name, "namespace": namespace} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata} | rest


def registered(cluster: str, *, skip_warming: bool = False) -> Object:
    spec = {"skipWarming": True} if skip_warming else {}
    return gloo("KubernetesCluster", ADMIN_NAMESPACE, cluster, spec, "admin")


def workspace(name: str = "all", clusters: Sequence[str] = ("*",), namespaces: Sequence[str] = ("*",)) -> Object:
    spaces = [{"name": n} for n in namespaces]
    spec = {"workloadClusters": [{"name": c, "namespaces": spaces} for c in clusters]}
    return gloo("Workspace", ADMIN_NAMESPACE, name, spec, "admin")


def settings(namespace: str, *, imports: Sequence[str] = (), exports: Sequence[str] = ()) -> Object:
    """Of the workspace that owns the namespace."""
    spec = {
        "importFrom": [{"workspaces": [{"name": w} for w in imports]}],
        "exportTo": [{"workspaces": [{"name": w} for w in exports]}],
    }
    return gloo("WorkspaceSettings", namespace, "own", spec, "admin")


def virtual_gateway(name: str = "edge", namespace: str = "gw", listeners: Sequence[Object] = ()) -> Object:
    return gloo("VirtualGateway", namespace, name, {"listeners": [{"http": {}, "port": {"number": 80}}, *listeners]})


def virtual_destination(name: str, namespace: str = "shop", app: str = "") -> Object:
    spec = {
        "hosts": [f"{name}.{namespace}.example"],
        "services": [{"namespace": namespace, "labels": {"app": app or name}}],
        "ports": [{"number": 80, "protocol": "HTTP", "targetPort": {"name": "http"}}],
    }
    return gloo("VirtualDestination", namespace, name, spec)


def table(
    name: str,
    routes: Sequence[Object],
    *,
    host: str = "",
    namespace: str = "shop",
    edge: tuple[str, str] = ("edge", "gw"),
) -> Object:
    """Without a host of its own: `<name>.example`."""
    spec = {
        "hosts": [host or f"{name}.example"],
        "virtualGateways": [{"name": edge[0], "namespace": edge[1], "cluster": "mgmt"}],
        "http": list(routes),
    }
    return gloo("RouteTable", namespace, name, spec)


def to(path: str, destination: Object, name: str = "") -> Object:
    matcher = {"uri": {"prefix": path}}
    return {"name": name or "to", "matchers": [matcher], "forwardTo": {"destinations": [destination]}}


def says(path: str, text: str) -> Object:
    return {
        "name": "says",
        "matchers": [{"uri": {"exact": path}}],
        "directResponse": {"status": 200, "body": text},
    }


def pod(namespace: str, name: str, address: str, node: str, labels: dict[str, str]) -> Object:
    status = {"podIP": address, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    spec = {"serviceAccountName": labels["app"], "nodeName": node, "containers": [{"name": "main", "image": "none"}]}
    return core("Pod", namespace, name, labels=labels, spec=spec, status=status)


def gateway(cluster: str, address: str) -> list[Object]:
    """The Service `gw/ingress` with one Envoy pod; an ingress and an east-west gateway at once."""
    ports = [
        {"name": "http", "port": 80, "targetPort": HTTP_PORT},
        {"name": "tls-edge", "port": 443, "targetPort": TLS_PORT},
        {"name": "https", "port": EASTWEST_PORT, "targetPort": EASTWEST_PORT},
    ]
    service = core(
        "Service",
        "gw",
        "ingress",
        labels={"istio": "eastwestgateway"},
        spec={"type": "LoadBalancer", "selector": {"app": "gateway"}, "ports": ports},
        status={"loadBalancer": {"ingress": [{"ip": address}]}},
    )
    region = {"topology.kubernetes.io/region": cluster}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{cluster}", "labels": region}}
    labels = {"app": "gateway", "gateway.gloo.solo.io/type": "envoy"}
    return [node, service, pod("gw", "gw-0", address, f"node-{cluster}", labels)]


def service(
    cluster: str, name: str, addresses: Sequence[str], namespace: str = "shop", *, numbers: Sequence[int] = ()
) -> list[Object]:
    """A Service with one ready pod per address; `numbers`: of these pods, absent: from 0."""
    node = f"node-{cluster}"
    pods = {f"{name}-{number}": address for number, address in zip(numbers or count(), addresses, strict=False)}
    endpoints = [
        {
            "addresses": [address],
            "conditions": {"ready": True},
            "nodeName": node,
            "targetRef": {"kind": "Pod", "name": pod_name, "namespace": namespace},
        }
        for pod_name, address in pods.items()
    ]
    port = {"name": "http", "port": 8000, "targetPort": HTTP_PORT}
    own = core("Service", namespace, name, labels={"app": name}, spec={"selector": {"app": name}, "ports": [port]})
    endpoint_slice: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": HTTP_PORT}],
        "endpoints": endpoints,
    }
    made = [pod(namespace, pod_name, address, node, {"app": name}) for pod_name, address in pods.items()]
    return [own, *made, endpoint_slice]
