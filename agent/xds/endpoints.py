"""EndpointsTemplate -> ClusterLoadAssignment for one cluster and one proxy's locality (destinations.md §§2.4, 5.6,
7.1). Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from agent.discovery.locality import Locality
from agent.xds.ports import LocalEndpoints
from fingerpost.relay.v1.endpoints_pb2 import Address, EndpointsTemplate

NOWHERE = Locality()
_UNIX = "unix://"
_TLS_MATCH = "envoy.transport_socket_match"
_MESH, _PLAIN = "istio", "disabled"  # values of tlsMode, as Istio writes them


class _Target(NamedTuple):
    locality: Locality
    address: str
    port: int
    tls_mode: str  # which of the cluster's transport sockets


def services_of(template: EndpointsTemplate, cluster: str) -> list[tuple[str, str]]:
    """The local Services that the assignment is made of."""
    return [(p.local.namespace, p.local.name) for p in template.parts if p.cluster == cluster and p.HasField("local")]


def hosts_of(template: EndpointsTemplate, cluster: str) -> set[str]:
    remote = [a for p in template.parts if p.cluster != cluster for a in p.remote]
    return {a.address for a in (*remote, *template.external) if not a.address.startswith(_UNIX)}


def load_assignment(
    template: EndpointsTemplate,
    cluster: str,
    proxy: Locality,
    local: LocalEndpoints,
    resolve: Callable[[str], Sequence[str]],
) -> bytes:
    """`cluster` is the name of this agent's cluster: its own part is filled from `local`, of all others the gateways
    are taken.
    """
    targets: list[_Target] = []
    for part in template.parts:
        if part.cluster == cluster:
            if part.HasField("local"):
                targets += _local(part.local, local)
        else:
            for address in part.remote:
                targets += _remote(address, resolve)
    for address in template.external:
        targets += _remote(address, resolve)
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=template.cluster_name)
    groups = _grouped(targets, proxy, template)
    renumbered = {old: new for new, old in enumerate(sorted({priority for priority, _ in groups}))}
    for (priority, locality), members in sorted(groups.items()):
        group = message.endpoints.add(priority=renumbered[priority])
        if locality != NOWHERE:
            group.locality.region, group.locality.zone, group.locality.sub_zone = locality
        group.load_balancing_weight.value = len(members)
        for target in members:
            _add(group, target)
    return bytes(message.SerializeToString(deterministic=True))


def _local(service: object, local: LocalEndpoints) -> list[_Target]:
    found = local.of(service.namespace, service.name, service.port, dict(service.subset))  # type: ignore[attr-defined]  # generated
    return [
        _Target(Locality(e.region, e.zone, e.sub_zone), e.address, e.port, _MESH if e.has_sidecar else _PLAIN)
        for e in found
    ]


def _remote(address: Address, resolve: Callable[[str], Sequence[str]]) -> list[_Target]:
    where = Locality(address.region, address.zone, address.sub_zone)
    mode = address.tls_mode or (_MESH if address.mutual_tls else _PLAIN)
    if address.address.startswith(_UNIX):
        return [_Target(where, address.address, 0, mode)]
    return [_Target(where, ip, address.port, mode) for ip in resolve(address.address)]


def _grouped(
    targets: list[_Target], proxy: Locality, template: EndpointsTemplate
) -> dict[tuple[int, Locality], list[_Target]]:
    groups: dict[tuple[int, Locality], list[_Target]] = {}
    for target in sorted(set(targets)):
        priority = _priority(proxy, target.locality, template.failover_from) if template.prefer_locality else 0
        groups.setdefault((priority, target.locality), []).append(target)
    return groups


def _priority(proxy: Locality, endpoint: Locality, failover: Sequence[str]) -> int:
    """The table of destinations.md §7.1."""
    if endpoint.region != proxy.region:
        rules = [rule.partition(">")[2] for rule in failover if rule.partition(">")[0] == proxy.region]
        return 3 if not rules or endpoint.region in rules else 4
    if endpoint.zone != proxy.zone:
        return 2
    return 0 if endpoint.sub_zone == proxy.sub_zone else 1


def _add(group: endpoint_components_pb2.LocalityLbEndpoints, target: _Target) -> None:
    member = group.lb_endpoints.add()
    address = member.endpoint.address
    if target.address.startswith(_UNIX):
        address.pipe.path = target.address.removeprefix(_UNIX)
    else:
        address.socket_address.address = target.address
        address.socket_address.port_value = target.port
    mode = member.metadata.filter_metadata[_TLS_MATCH].fields["tlsMode"]
    mode.string_value = target.tls_mode
