"""What a person does with kubectl: create, edit, delete; and kinds of their own."""

from __future__ import annotations

import json
import ssl
from typing import Any

import httpx

from fingerpost.api.kinds import BY_TYPE
from fingerpost.objects import type_of
from tests.fleet.fleet_network import until
from tests.kube.api_server import ADMIN, ApiServer

Object = dict[str, Any]
_CORE = {
    "Namespace": "namespaces",
    "Node": "nodes",
    "Service": "services",
    "Secret": "secrets",
    "Pod": "pods",
    "ConfigMap": "configmaps",
    "ServiceAccount": "serviceaccounts",
}
_OTHER = {
    "EndpointSlice": "endpointslices",
    "Deployment": "deployments",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "CustomResourceDefinition": "customresourcedefinitions",
    "VirtualService": "virtualservices",
    "DestinationRule": "destinationrules",
}
_ISTIO = {
    "EnvoyFilter": "envoyfilters",
    "Gateway": "gateways",
    "VirtualService": "virtualservices",
    "DestinationRule": "destinationrules",
    "ServiceEntry": "serviceentries",
    "WorkloadEntry": "workloadentries",
}
_WITHOUT_NAMESPACE = {"Namespace", "Node", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}


class KubeClient:
    """Use as `async with`. Every method fails the test when the API server refuses."""

    def __init__(self, server: ApiServer, user: str = ADMIN) -> None:
        context = ssl.create_default_context(cafile=str(server.folder / "pki" / "ca.crt"))
        headers = {"Authorization": f"Bearer {server.token(user)}"}
        self.http = httpx.AsyncClient(base_url=server.url, verify=context, headers=headers, trust_env=False, timeout=20)

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def apply(self, *objects: Object, manager: str = "kubectl") -> list[Object]:
        """Server-side, by force; what the API server made of them."""
        out = []
        for obj in objects:
            meta = obj["metadata"]
            answer = await self.http.patch(
                f"{_path(obj)}/{meta['name']}",
                params={"fieldManager": manager, "force": "true"},
                headers={"Content-Type": "application/apply-patch+yaml"},
                content=json.dumps(obj),
            )
            assert answer.is_success, f"{obj['kind']} {meta['name']}: {answer.text}"
            out.append(answer.json())
            if "status" in obj:
                await self._set_status(obj)
        return out

    async def _set_status(self, obj: Object) -> None:
        """What controllers and kubelets would write."""
        await self.merge(obj, {"status": obj["status"]}, "/status")

    async def merge(self, obj: Object, patch: Object, part: str = "") -> None:
        """As `kubectl patch --type merge`: null takes a field away."""
        answer = await self.http.patch(
            f"{_path(obj)}/{obj['metadata']['name']}{part}",
            headers={"Content-Type": "application/merge-patch+json"},
            content=json.dumps(patch),
        )
        assert answer.is_success, f"{obj['kind']} {obj['metadata']['name']}: {answer.text}"

    async def delete(self, *objects: Object) -> None:
        """Pods at once: there may be no kubelet to end them."""
        for obj in objects:
            path = f"{_path(obj)}/{obj['metadata']['name']}"
            answer = await self.http.delete(path, params={"gracePeriodSeconds": "0"} if obj["kind"] == "Pod" else {})
            assert answer.is_success or answer.status_code == 404, answer.text

    async def get(self, obj: Object) -> Object:
        answer = await self.http.get(f"{_path(obj)}/{obj['metadata']['name']}")
        assert answer.is_success, answer.text
        found: Object = answer.json()
        return found

    async def install(self, *crds: Object) -> None:
        """From then on objects of these kinds are taken."""
        await self.apply(*crds)
        await self.served(*crds)

    async def served(self, *crds: Object, timeout: float = 20) -> None:
        """Waits for kinds that somebody defines."""
        for crd in crds:
            await until(lambda crd=crd: self._established(crd), timeout, f"{crd['metadata']['name']} is served")

    async def _established(self, crd: Object) -> bool:
        status = (await self.get(crd)).get("status", {})
        return any(c["type"] == "Established" and c["status"] == "True" for c in status.get("conditions") or ())


def where(obj: Object) -> str:
    return f"{_path(obj)}/{obj['metadata']['name']}"


def _path(obj: Object) -> str:
    kind, version = obj["kind"], obj["apiVersion"]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    if kind not in _WITHOUT_NAMESPACE:
        base += f"/namespaces/{obj['metadata'].get('namespace', 'default')}"
    return f"{base}/{_plural(version, kind)}"


def _plural(version: str, kind: str) -> str:
    known = BY_TYPE.get(type_of(version, kind))
    return known.plural if known is not None and "solo.io" in version else (_CORE | _OTHER | _ISTIO)[kind]


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def service(where: str, name: str, port: int = 80, **labels: str) -> Object:
    metadata = {"name": name, "namespace": where, "labels": labels}
    spec = {"ports": [{"name": "http", "port": port}], "selector": {"app": name}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def endpoint_slice(where: str, name: str, port: int, *addresses: str, service: str = "") -> Object:
    """The ready endpoints of a Service whose port is called `http`, in the way the controller would write them."""
    metadata = {"name": name, "namespace": where, "labels": {"kubernetes.io/service-name": service or name}}
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


def secret(where: str, name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": where}, "stringData": data}


def route_table(where: str, name: str, host: str) -> Object:
    metadata = {"name": name, "namespace": where}
    return {
        "apiVersion": "networking.gloo.solo.io/v2",
        "kind": "RouteTable",
        "metadata": metadata,
        "spec": {"hosts": [host]},
    }


def open_crd(kind: str = "RouteTable", plural: str = "routetables", group: str = "networking.gloo.solo.io") -> Object:
    """Takes everything: for tests that are about the source and not about schemas."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}}
    version = {"name": "v2", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


def may_read(user: str, *resources: str, group: str = "", named: str = "") -> tuple[Object, Object]:
    rules = [{"apiGroups": [group], "resources": list(resources), "verbs": ["get", "list", "watch"]}]
    name = {"name": f"{user}-{named or resources[0]}"}
    rbac = "rbac.authorization.k8s.io"
    return (
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": name, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": name,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", **name},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}],
        },
    )
