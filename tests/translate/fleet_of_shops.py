"""A plain fleet in good order: two clusters with a gateway each, one workspace, and as many tables as asked for."""

from __future__ import annotations

from typing import Any

import yaml

from fingerpost.objects import ObjectKey
from tests.plain_world import HOME, entry

_EDGE = """
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {name: edge, namespace: shop}
  spec: {workloads: [{selector: {labels: {app: gateway}}}], listeners: [{http: {}, port: {number: 80}}]}
"""
_AWAY = """
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Namespace, metadata: {name: gw}}
- apiVersion: internal.gloo.solo.io/v2
  kind: DiscoveredGateway
  metadata: {name: ingress, namespace: gw}
  spec:
    workloadLabels: {app: gateway}
    ports: [{number: 80, name: http2, target: 8080}, {number: 15443, name: tls, target: 15443}]
    serviceType: LOAD_BALANCER
    externalAddresses: [{address: 192.0.2.1}]
"""
Json = dict[str, Any]


def table(number: int, answer: int = 200, destination: int | None = None) -> tuple[ObjectKey, bytes]:
    """A table with a host of its own: `/` goes to a VirtualDestination or is answered."""
    ref = {"ref": {"name": f"app{destination}"}, "kind": "VIRTUAL_DESTINATION", "port": {"number": 80}}
    forward: Json = {"name": "to", "forwardTo": {"destinations": [ref]}}
    spec: Json = {"hosts": [f"h{number}.shop.example"], "virtualGateways": [{"name": "edge"}]}
    spec["http"] = [{"name": "answer", "matchers": [{"uri": {"prefix": "/a"}}], "directResponse": {"status": answer}}]
    spec["http"] += [forward] if destination is not None else []
    metadata = {"name": f"t{number}", "namespace": "shop"}
    obj = {"apiVersion": "networking.gloo.solo.io/v2", "kind": "RouteTable", "metadata": metadata, "spec": spec}
    return entry("mgmt", obj)


def east_west() -> dict[ObjectKey, bytes]:
    """Settings by which every gateway lets the other cluster in."""
    spec = {"options": {"eastWestGateways": [{"selector": {}, "tlsTerminationPort": {"number": 15443}}]}}
    metadata = {"name": "all", "namespace": "shop"}
    obj = {"apiVersion": "admin.gloo.solo.io/v2", "kind": "WorkspaceSettings", "metadata": metadata, "spec": spec}
    return dict((entry("mgmt", obj),))


def service(cluster: str, number: int) -> tuple[ObjectKey, bytes]:
    metadata = {"name": f"app{number}", "namespace": "shop", "labels": {"app": f"app{number}"}}
    spec = {"ports": [{"name": "http", "port": 8000}], "selector": {"app": f"app{number}"}}
    return entry(cluster, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


def facts(cluster: str, number: int, ready: list[int]) -> tuple[ObjectKey, bytes]:
    metadata = {"name": f"app{number}", "namespace": "shop"}
    spec = {"readyPorts": ready, "serviceAccounts": ["app"]}
    return entry(
        cluster, {"apiVersion": "fingerpost.dev/v1", "kind": "ServiceFacts", "metadata": metadata, "spec": spec}
    )


def virtual_destination(number: int) -> tuple[ObjectKey, bytes]:
    spec = {"hosts": [f"app{number}.mesh"], "services": [{"labels": {"app": f"app{number}"}}]}
    spec["ports"] = [{"number": 80, "protocol": "HTTP", "targetPort": {"name": "http"}}]
    metadata = {"name": f"app{number}", "namespace": "shop"}
    kind = "VirtualDestination"
    obj = {"apiVersion": "networking.gloo.solo.io/v2", "kind": kind, "metadata": metadata, "spec": spec}
    return entry("mgmt", obj)


def shops(tables: int, destinations: int = 0) -> dict[ObjectKey, bytes]:
    """Table n forwards to destination n modulo `destinations`, each with a ready Service in both clusters."""
    out = dict(entry("mgmt", obj) for obj in yaml.safe_load(HOME + _EDGE))
    for cluster in ("east", "west"):
        out |= dict(entry(cluster, obj) for obj in yaml.safe_load(_AWAY))
        for number in range(destinations):
            out |= dict((service(cluster, number), facts(cluster, number, [8000])))
    out |= dict(virtual_destination(number) for number in range(destinations))
    out |= dict(table(n, destination=n % destinations if destinations else None) for n in range(tables))
    return out
