"""Objects of a small cluster for the tests of discovery, as an API server would hand them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agent.discovery.world import Derived
from fingerpost.cluster.protocol import Change
from fingerpost.objects import ObjectKey, canonical, trim, type_of


def change(kind: str, name: str, *, api: str = "v1", namespace: str = "shop", **rest: Any) -> Change:
    metadata: dict[str, Any] = {"name": name, **rest.pop("metadata", {})}
    if kind != "Node":
        metadata["namespace"] = namespace
    else:
        namespace = ""
    body = {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}
    type_ = type_of(api, kind)
    return Change(ObjectKey(type_, "c1", namespace, name), canonical(trim(type_, body)))


def gone(there: Change) -> Change:
    return Change(there.key, None)


def service(name: str = "web", *, annotations: Mapping[str, str] | None = None, **spec: Any) -> Change:
    spec.setdefault("selector", {"app": name})
    spec.setdefault("ports", [{"name": "http", "port": 80, "targetPort": 8080}])
    status = spec.pop("status", {})
    metadata = {"labels": {"app": name}, "uid": f"uid-{name}"} | ({"annotations": annotations} if annotations else {})
    return change("Service", name, metadata=metadata, spec=spec, status=status)


def pod(
    name: str, *, app: str = "web", node: str = "", account: str = "web", ready: bool = True, **rest: Any
) -> Change:
    labels = {"app": app, **rest.pop("labels", {})}
    containers = rest.pop("containers", [{"name": "main"}])
    return change(
        "Pod",
        name,
        metadata={"labels": labels},
        spec={"serviceAccountName": account, "nodeName": node, "containers": containers},
        status={"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    )


def endpoint(address: str, target: str = "", **rest: Any) -> dict[str, Any]:
    ref = {"targetRef": {"kind": "Pod", "namespace": "shop", "name": target}} if target else {}
    return {"addresses": [address], "conditions": {"ready": True}, **ref, **rest}


def slices(
    endpoints: Iterable[Any],
    *,
    of: str = "web",
    name: str = "web-1",
    ports: Iterable[tuple[str, int]] = (("http", 8080),),
) -> Change:
    return change(
        "EndpointSlice",
        name,
        api="discovery.k8s.io/v1",
        metadata={"labels": {"kubernetes.io/service-name": of}},
        addressType="IPv4",
        endpoints=list(endpoints),
        ports=[{"name": n, "port": p, "protocol": "TCP"} for n, p in ports],
    )


def node(name: str, *, addresses: Mapping[str, str] | None = None, **labels: str) -> Change:
    names = {
        "region": "topology.kubernetes.io/region",
        "zone": "topology.kubernetes.io/zone",
        "sub_zone": "topology.istio.io/subzone",
        "old_region": "failure-domain.beta.kubernetes.io/region",
    }
    return change(
        "Node",
        name,
        metadata={"labels": {names[key]: value for key, value in labels.items()}},
        status={"addresses": [{"type": t, "address": a} for t, a in (addresses or {}).items()]},
    )


def facts(derived: Derived, kind: str) -> dict[str, Any]:
    """By name: the decoded object, None when it is to be removed."""
    return {
        key.name: None if body is None else msgspec.json.decode(body) for key, body in derived.facts if key.kind == kind
    }
