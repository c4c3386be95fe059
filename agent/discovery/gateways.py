"""DiscoveredGateway of a Service whose pods are gateways (destinations.md §2.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from agent.discovery.locality import locality_of
from agent.discovery.pods import gateway_kind
from fingerpost.api.base import ObjectMeta
from fingerpost.api.core.node import Node
from fingerpost.api.core.pod import Pod
from fingerpost.api.core.service import Service
from fingerpost.api.internal.discovered_gateway import (
    DiscoveredGateway,
    DiscoveredGatewaySpec,
    ExternalAddress,
    GatewayKind,
    GatewayPort,
)

_Type = Literal["CLUSTER_IP", "NODE_PORT", "LOAD_BALANCER", "EXTERNAL_NAME"]
_TYPES: dict[str, _Type] = {
    "ClusterIP": "CLUSTER_IP",
    "NodePort": "NODE_PORT",
    "LoadBalancer": "LOAD_BALANCER",
    "ExternalName": "EXTERNAL_NAME",
}


def discover(service: Service, pods: Iterable[Pod], node: Callable[[str], Node | None]) -> DiscoveredGateway | None:
    """`pods` are those that the Service selects. None when none of them is a gateway pod."""
    selected = list(pods)
    kinds = {kind for pod in selected if (kind := gateway_kind(pod)) is not None}
    if not kinds:
        return None
    gateway_pods = [pod for pod in selected if gateway_kind(pod) is not None and pod.status.is_ready]
    nodes = {name: node(name) for name in sorted({pod.spec.node_name for pod in gateway_pods if pod.spec.node_name})}
    metadata = service.metadata
    return DiscoveredGateway(
        metadata=ObjectMeta(
            name=metadata.name,
            namespace=metadata.namespace,
            uid=metadata.uid,
            creation_timestamp=metadata.creation_timestamp,
        ),
        spec=DiscoveredGatewaySpec(
            gateway_kind=GatewayKind.ENVOY if GatewayKind.ENVOY in kinds else GatewayKind.ISTIO,
            workload_labels=service.spec.selector,
            service_labels=metadata.labels,
            service_type=_TYPES.get(service.spec.type, "CLUSTER_IP"),
            ports=tuple(
                GatewayPort(number=p.port, name=p.name, protocol=p.protocol, target=p.listening_port)
                for p in service.spec.ports
            ),
            external_addresses=_addresses(
                service, [found for found in nodes.values() if found is not None], _region(nodes)
            ),
            service_accounts=tuple(sorted({pod.spec.service_account_name for pod in selected})),
        ),
    )


def _region(nodes: dict[str, Node | None]) -> str:
    """Region only, and none when the gateway's pods span several: a remote gateway must never tie with a pod of the
    caller's zone.
    """
    regions = {locality_of(found.metadata.labels).region if found else "" for found in nodes.values()}
    return regions.pop() if len(regions) == 1 else ""


def _addresses(service: Service, nodes: list[Node], region: str) -> tuple[ExternalAddress, ...]:
    spec = service.spec
    ports = {str(port.port): port.port for port in spec.ports}
    node_ports = {str(port.port): port.node_port for port in spec.ports if port.node_port}
    found = {address: ports for address in spec.external_ips}
    if spec.type == "LoadBalancer":
        for ingress in service.status.load_balancer.ingress:
            if address := ingress.ip or ingress.hostname:
                found.setdefault(address, ports)
    elif spec.type == "NodePort":
        for one in nodes:
            if address := _node_address(one):
                found.setdefault(address, node_ports)
    return tuple(ExternalAddress(address=address, ports=found[address], region=region) for address in found)


def _node_address(node: Node) -> str:
    for wanted in ("ExternalIP", "InternalIP"):
        for address in node.status.addresses:
            if address.type == wanted and address.address:
                return address.address
    return ""
