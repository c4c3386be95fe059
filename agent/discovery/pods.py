"""What a pod is to us: a gateway, a workload with a sidecar, or neither."""

from __future__ import annotations

from fingerpost.api.core.pod import Pod
from fingerpost.api.internal.discovered_gateway import GatewayKind

GATEWAY_LABEL = "gateway.gloo.solo.io/type"
_PROXY = "istio-proxy"
_ROUTER = "router"


def gateway_kind(pod: Pod) -> GatewayKind | None:
    """None for a pod that is no gateway."""
    if pod.metadata.labels.get(GATEWAY_LABEL) == GatewayKind.ENVOY.value:
        return GatewayKind.ENVOY
    if any(c.name == _PROXY and _ROUTER in c.args for c in pod.spec.containers):
        return GatewayKind.ISTIO
    return None


def has_sidecar(pod: Pod) -> bool:
    """A native sidecar is an init container."""
    containers = (*pod.spec.containers, *pod.spec.init_containers)
    return any(c.name == _PROXY and _ROUTER not in c.args for c in containers)
