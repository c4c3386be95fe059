"""The examples as real clusters take them: what a person writes stays, what Kubernetes itself makes (pods of
Deployments, endpoints, addresses of load balancers) is left to it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from demo.ground import EXAMPLES, ROOT

Object = dict[str, Any]
GATEWAYS, ACCOUNT, PORT = "gw", "gateway", 8080
OUTSIDE = "192.0.2.10"  # in the network of the cluster tests, beside all clusters
_NODE = "node"  # the only one of each cluster there
_MADE_BY_OTHERS = {"EndpointSlice", "KubernetesCluster"}
# Their pods have no sidecar to end TLS, so the gateway has to when requests come from another cluster.
_WITHOUT_SIDECARS = {"cart"}


def of(cluster: str) -> list[Object]:
    """All but the pods."""
    found = [_adapted(obj) for obj in _examples(cluster) if obj["kind"] not in {"Pod", *_MADE_BY_OTHERS}]
    return sorted(found, key=lambda obj: obj["kind"] != "Namespace")


def one(cluster: str, kind: str, name: str) -> Object:
    (found,) = (obj for obj in of(cluster) if (obj["kind"], obj["metadata"]["name"]) == (kind, name))
    return found


def shop(cluster: str) -> list[Object]:
    """The Deployments of the shop's pods, as many replicas as there are pods in the examples, and their accounts."""
    pods = [obj for obj in _examples(cluster) if obj["kind"] == "Pod" and obj["metadata"]["namespace"] != GATEWAYS]
    apps = Counter(pod["metadata"]["name"].rpartition("-")[0] for pod in pods)
    out: dict[str, Object] = {}
    for pod in pods:
        where, app = pod["metadata"]["namespace"], pod["metadata"]["name"].rpartition("-")[0]
        account = pod["spec"]["serviceAccountName"]
        metadata = {"name": account, "namespace": where}
        out[account + "/account"] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        labels = pod["metadata"]["labels"]
        out[app] = deployment(where, app, labels, _container(cluster, app, account), apps[app])
    return list(out.values())


def _container(cluster: str, app: str, account: str) -> Object:
    container = {
        "name": "app",
        "image": "python",
        "args": ["-m", "demo.kube.pod", cluster, app],
        "workingDir": str(ROOT),
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
    }
    return {"serviceAccountName": account, "terminationGracePeriodSeconds": 1, "containers": [container]}


def deployment(where: str, name: str, labels: Object, spec: Object, replicas: int) -> Object:
    template = {"metadata": {"labels": labels}, "spec": spec}
    wanted = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": where}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": wanted}


def region(cluster: str) -> str:
    return str(one(cluster, "Node", _NODE)["metadata"]["labels"]["topology.kubernetes.io/region"])


def _examples(cluster: str) -> Iterator[Object]:
    for file in sorted((EXAMPLES / cluster).glob("*.yaml")):
        yield from (obj for obj in _loaded(file) if obj)


def _loaded(file: Path) -> list[Object]:
    return list(yaml.safe_load_all(re.sub(r"127\.0\.9\.10\b", OUTSIDE, file.read_text())))


def _adapted(obj: Object) -> Object:
    obj.pop("status", None)
    name = obj["metadata"]["name"]
    if obj["kind"] == "Node":
        obj["metadata"]["name"] = _NODE
    elif obj["kind"] == "VirtualDestination" and name in _WITHOUT_SIDECARS:
        obj["spec"]["clientMode"] = {"tlsTermination": {}}
    return obj
