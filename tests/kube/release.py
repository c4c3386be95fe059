"""The charts installed in test clusters, with their pods run: what a test or a demo on Kubernetes begins with.

`install_release` gives a cluster its components, `enroll` what an agent needs of the management cluster, `gateway` a
plain Envoy as a pod.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

from helm_python.chart import Chart
from helm_python.config import Config

from agent.xds.bootstrap import bootstrap
from tests.fleet.fleet_network import until
from tests.kube.charts import CRDS, NAMESPACE, PLATFORM, Rendered
from tests.kube.cluster import Cluster
from tests.kube.kube_client import KubeClient, Object, namespace

ROOT_SECRET, TOKEN_SECRET = "relay-root-tls-secret", "relay-identity-token-secret"
_KINDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN = "@TOKEN@"
# The token of a pod is renewed in its file; Envoy takes the one of its start, which API servers accept for a year.
_START = f'sed "s|{_TOKEN}|$(cat {_ACCOUNT}/token)|" /etc/envoy/envoy.json > /tmp/envoy.json && exec envoy "$@"'
_HTTP, _EASTWEST = 8080, 16443


async def install_release(cluster: Cluster, given: Mapping[str, Any], *, patience: float = 60) -> None:
    """Both charts, or an upgrade where they are; back when all replicas of all components are ready."""
    await begin_release(cluster, given)
    for deployment in Rendered(given).all("Deployment"):
        await ready(cluster, NAMESPACE, deployment["metadata"]["name"], patience)


async def begin_release(cluster: Cluster, given: Mapping[str, Any]) -> None:
    """Without waiting for pods: they may lack what a person has still to bring."""
    await cluster.kube.apply(namespace(NAMESPACE))
    if not (await cluster.kube.http.get(f"{_KINDS}/routetables.networking.gloo.solo.io")).is_success:
        await asyncio.to_thread(_helm, cluster, CRDS.name, {})
        await until(lambda: _kinds_served(cluster), 30, "the kinds of the chart are served")
    await asyncio.to_thread(_helm, cluster, PLATFORM.name, dict(given))


def _helm(cluster: Cluster, name: str, given: dict[str, Any]) -> None:
    chart = CRDS if name == CRDS.name else PLATFORM
    with Config(kubeconfig_path=cluster.server.kubeconfig(), namespace=NAMESPACE) as config, Chart.load(chart) as read:
        act = config.upgrade if name in {release["name"] for release in config.list()} else config.install
        act(read, name, given)


async def remove_release(*clusters: Cluster) -> None:
    """Back when its pods are gone. The kinds stay, and nothing happens without a release."""
    for cluster in clusters:
        await asyncio.to_thread(_uninstall, cluster)

    async def all_gone() -> bool:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        return not any([(await cluster.kube.http.get(path)).json()["items"] for cluster in clusters])

    await until(all_gone, 60, "the pods of the release are gone")


def _uninstall(cluster: Cluster) -> None:
    with Config(kubeconfig_path=cluster.server.kubeconfig(), namespace=NAMESPACE) as config:
        if PLATFORM.name in {release["name"] for release in config.list()}:
            config.uninstall(PLATFORM.name)


async def _kinds_served(cluster: Cluster) -> bool:
    items = (await cluster.kube.http.get(_KINDS)).json()["items"]
    conditions = [one.get("status", {}).get("conditions") or () for one in items]
    return all(any(c["type"] == "Established" and c["status"] == "True" for c in some) for some in conditions)


async def ready(cluster: Cluster, where: str, name: str, patience: float = 60) -> None:
    """All pods of the Deployment's newest template are ready, and no others are left."""
    found: Object = {}

    async def rolled_out() -> bool:
        answer = await cluster.kube.http.get(f"/apis/apps/v1/namespaces/{where}/deployments/{name}")
        assert answer.is_success, answer.text
        found.update(answer.json())
        status, wanted = found.get("status", {}), found["spec"]["replicas"]
        counts = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")}
        return status.get("observedGeneration") == found["metadata"]["generation"] and counts == {wanted}

    try:
        await until(rolled_out, patience, f"{where}/{name} is ready")
    except AssertionError as late:
        raise AssertionError(f"{late}\n{await said(cluster, where, name)}") from late


async def pods(cluster: Cluster, where: str, app: str) -> list[Object]:
    """Those that are not ending."""
    answer = await cluster.kube.http.get(f"/api/v1/namespaces/{where}/pods", params={"labelSelector": f"app={app}"})
    return [pod for pod in answer.json()["items"] if "deletionTimestamp" not in pod["metadata"]]


async def said(cluster: Cluster, where: str, app: str) -> str:
    """The last words of the containers of these pods, and what the node says of them."""
    out = []
    for pod in await pods(cluster, where, app):
        for container in pod["spec"]["containers"]:
            log = cluster.kubelet.log(where, pod["metadata"]["name"], container["name"])
            text = log.read_text()[-3000:] if log.exists() else "no log"
            out.append(f"--- {pod['metadata']['name']}/{container['name']}\n{text}")
        out.append(json.dumps(pod.get("status", {}).get("containerStatuses", []), indent=1))
    return "\n".join(out)


# ---------------------------------------------------------------- registration by hand


async def enroll(management: Cluster, workload: Cluster) -> None:
    """What a person copies (relay.md §4.2, way 2): the roots and the token."""
    for name, key in ((ROOT_SECRET, "ca.crt"), (TOKEN_SECRET, "token")):
        path = f"/api/v1/namespaces/{NAMESPACE}/secrets/{name}"
        answer = await management.kube.http.get(path)
        assert answer.is_success, answer.text
        metadata = {"name": name, "namespace": NAMESPACE}
        data = {key: answer.json()["data"][key]}
        await workload.kube.apply(
            namespace(NAMESPACE), {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
        )


async def relay_address(management: Cluster) -> str:
    """host:port of the server's load balancer."""
    return f"{await load_balancer(management, NAMESPACE, 'gloo-mesh-mgmt-server')}:9900"


async def load_balancer(cluster: Cluster, where: str, name: str) -> str:
    async def given() -> str:
        answer = await cluster.kube.http.get(f"/api/v1/namespaces/{where}/services/{name}")
        ingress = answer.json().get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
        return str(ingress[0].get("ip", ""))

    found: str = await until(given, 20, f"the load balancer of {where}/{name}")
    return found


def agent_values(name: str, server_address: str, **agent: Any) -> dict[str, Any]:
    relay = {"serverAddress": server_address}
    return {"common": {"cluster": name}, "glooAgent": {"enabled": True, "relay": relay, **agent}}


# ---------------------------------------------------------------- objects


def gateway(cluster: str, where: str = "gw", name: str = "ingress", replicas: int = 1) -> list[Object]:
    """The Service of that name with Envoys that know no more than where the agent is and who they are."""
    config, spec = envoy_pod(cluster, where, name)
    labels = {"app": name, "gateway.gloo.solo.io/type": "envoy"}
    metadata = {"name": name, "namespace": where}
    ports = [
        {"name": "http", "port": 80, "targetPort": _HTTP},
        {"name": "https", "port": _EASTWEST, "targetPort": _EASTWEST},
    ]
    own = {**metadata, "labels": {"istio": "eastwestgateway"}}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        config,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": own,
            "spec": {"type": "LoadBalancer", "selector": {"app": name}, "ports": ports},
        },
        deployment(where, name, spec, replicas, labels),
    ]


def envoy_pod(cluster: str, where: str, service: str, account: str = "") -> tuple[Object, Object]:
    """A ConfigMap and the spec of a pod behind the gateway Service; the service account is named after that."""
    given = bootstrap(f"gloo-mesh-agent.{NAMESPACE}:9977", f"{where}/{service}", cluster, _TOKEN)
    container: Object = {
        "name": "envoy",
        "image": "envoy",
        "command": ["sh", "-c", _START, "envoy"],
        "args": ["-c", "/tmp/envoy.json", "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"],
    }
    return proxy_pod(where, service, given, container, account or service)


def proxy_pod(where: str, name: str, given: Object, container: Object, account: str) -> tuple[Object, Object]:
    """The same for any proxy: the container finds its bootstrap, the ConfigMap, in /etc/envoy/envoy.json."""
    config = {"name": f"{name}-bootstrap", "namespace": where}
    container = {
        **container,
        "ports": [{"name": "http", "containerPort": _HTTP}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "bootstrap", "mountPath": "/etc/envoy"}, *container.get("volumeMounts", ())],
    }
    spec = {
        "serviceAccountName": account,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "bootstrap", "configMap": {"name": config["name"]}}],
    }
    data = {"envoy.json": json.dumps(given)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": config, "data": data}, spec


def deployment(where: str, name: str, spec: Object, replicas: int, labels: Mapping[str, str]) -> Object:
    template = {"metadata": {"labels": dict(labels)}, "spec": spec}
    wanted = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    metadata = {"name": name, "namespace": where}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": wanted}


def backend(name: str, program: str, where: str = "shop", replicas: int = 1) -> list[Object]:
    """A Service of pods that run `python program 8080`."""
    container: Object = {
        "name": "app",
        "image": "python",
        "args": [program, str(_HTTP)],
        "ports": [{"name": "http", "containerPort": _HTTP}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
    }
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    port = {"name": "http", "port": 8000, "targetPort": "http"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": where, "labels": {"app": name}},
        "spec": {"selector": {"app": name}, "ports": [port]},
    }
    return [service, deployment(where, name, spec, replicas, {"app": name})]


async def secret_data(cluster: Cluster, where: str, name: str) -> dict[str, bytes]:
    """Empty when there is none."""
    return await secret_at(cluster.kube, where, name)


async def secret_at(kube: KubeClient, where: str, name: str) -> dict[str, bytes]:
    answer = await kube.http.get(f"/api/v1/namespaces/{where}/secrets/{name}")
    found = answer.json().get("data") or {} if answer.is_success else {}
    return {key: base64.b64decode(value) for key, value in found.items()}
