"""The fleet that is measured: one management folder with many tables, and one folder with one gateway per cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

NAMESPACE = "gloo-mesh"


def _write(path: Path, *objects: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text("---\n".join(yaml.dump(o, Dumper=yaml.CSafeDumper, sort_keys=False) for o in objects))
    os.replace(fresh, path)


def _object(kind: str, name: str, namespace: str, spec: dict[str, Any], group: str = "networking") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": f"{group}.gloo.solo.io/v2", "kind": kind, "metadata": metadata, "spec": spec}


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def table(number: int, edit: int = 0) -> dict[str, Any]:
    """A table with a host of its own and three routes, one of them to a destination that spans all clusters."""
    cart = {"ref": {"name": "cart", "namespace": "shop"}, "kind": "VIRTUAL_DESTINATION", "port": {"number": 80}}
    spec = {
        "hosts": [f"host-{number}.example"],
        "virtualGateways": [{"name": "edge", "namespace": "gw"}],
        "http": [
            {"name": "cart", "matchers": [{"uri": {"prefix": f"/cart-{edit}"}}], "forwardTo": {"destinations": [cart]}},
            {"name": "moved", "matchers": [{"uri": {"exact": "/old"}}], "redirect": {"pathRedirect": "/new"}},
            {"name": "rest", "directResponse": {"status": 200, "body": f"edit {edit}"}},
        ],
    }
    return _object("RouteTable", f"table-{number}", "shop", spec)


def table_file(root: Path, number: int) -> Path:
    return root / "mgmt" / f"{number % 100:02}" / f"table-{number}.yaml"


def write_table(root: Path, number: int, edit: int) -> None:
    """Ready to be renamed into place: the measured moment is the rename."""
    _write(table_file(root, number), table(number, edit))


def prepare_table(root: Path, number: int, edit: int) -> tuple[Path, Path]:
    """(from, to) of the rename that makes the edit."""
    target = table_file(root, number)
    fresh = target.with_name(f".{target.name}.edit")
    fresh.write_text(yaml.dump(table(number, edit), Dumper=yaml.CSafeDumper, sort_keys=False))
    return fresh, target


def write_management(root: Path, clusters: list[str], tables: int) -> None:
    everything = {"workloadClusters": [{"name": "*", "namespaces": [{"name": "*"}]}]}
    backing = {
        "hosts": ["cart.shop.example"],
        "services": [{"namespace": "shop", "labels": {"app": "cart"}}],
        "ports": [{"number": 80, "protocol": "HTTP", "targetPort": {"name": "http"}}],
    }
    _write(
        root / "mgmt" / "fleet.yaml",
        *(_object("KubernetesCluster", name, NAMESPACE, {}, "admin") for name in clusters),
        _object("Workspace", "all", NAMESPACE, everything, "admin"),
        _object("VirtualGateway", "edge", "gw", {"listeners": [{"http": {}, "port": {"number": 8080}}]}),
        _object("VirtualDestination", "cart", "shop", backing),
    )
    for number in range(tables):
        write_table(root, number, 0)


def write_cluster(root: Path, name: str, address: str = "127.0.0.1", pods: int = 1, pod_port: int = 8080) -> None:
    """A gateway and one service with ready pods."""
    ready = {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": "True"}]}
    labels = {"app": "gateway", "gateway.gloo.solo.io/type": "envoy"}
    ports = [{"name": "http", "port": 8000, "targetPort": pod_port}]
    slices = [{"addresses": [address], "conditions": {"ready": True}} for _ in range(pods)]
    _write(
        root / name / "cluster.yaml",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "ingress", "namespace": "gw"},
            "spec": {
                "type": "LoadBalancer",
                "selector": {"app": "gateway"},
                "ports": [{"name": "http", "port": 8080, "targetPort": 8080}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": address}]}},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "gw-0", "namespace": "gw", "labels": labels},
            "spec": {"serviceAccountName": "gw", "containers": [{"name": "envoy"}]},
            "status": ready,
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "cart", "namespace": "shop", "labels": {"app": "cart"}},
            "spec": {"selector": {"app": "cart"}, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "cart-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "cart"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": pod_port}],
            "endpoints": slices,
        },
    )
