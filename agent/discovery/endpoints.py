"""The ready endpoints of one Service of the own cluster, from its EndpointSlices (destinations.md §3.2, D-18)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from agent.discovery import endpoint_ports
from agent.discovery.locality import NOWHERE, Locality
from agent.discovery.pods import has_sidecar
from fingerpost.api.core.endpoint_slice import Endpoint as SliceEndpoint
from fingerpost.api.core.endpoint_slice import EndpointSlice
from fingerpost.api.core.node import Node
from fingerpost.api.core.pod import Pod
from fingerpost.api.core.service import Service

_NO_LABELS: Mapping[str, str] = {}


class Endpoint(NamedTuple):
    """One address of a Service's port. Without a Pod object (a workload on a virtual machine) there are no labels and
    no sidecar.
    """

    address: str
    port: int
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    labels: Mapping[str, str] = _NO_LABELS
    has_sidecar: bool = False
    ready: bool = True  # others are not listed
    pod: str = ""
    service_account: str = ""


class Found(NamedTuple):
    """By number of the Service's port; `pods` and `nodes` are the names that were looked at, there or not."""

    ports: Mapping[int, tuple[Endpoint, ...]]
    pods: frozenset[tuple[str, str]]
    nodes: frozenset[str]


NOTHING = Found({}, frozenset(), frozenset())


class Surroundings(NamedTuple):
    pod: Callable[[str, str], Pod | None]
    node: Callable[[str], Node | None]
    locality: Callable[[str], Locality]


def find(service: Service | None, slices: Iterable[EndpointSlice], around: Surroundings) -> Found:
    if service is None:
        return NOTHING
    ports: dict[int, dict[tuple[str, int], Endpoint]] = {port.port: {} for port in service.spec.ports}
    pods: set[tuple[str, str]] = set()
    nodes: set[str] = set()
    for one in endpoint_ports.of_one_family(service, slices):
        numbers = endpoint_ports.numbers(service, one)
        for listed in one.endpoints:
            pod_key = _pod_key(listed, one.metadata.namespace)
            pod = around.pod(*pod_key) if pod_key else None
            if pod_key:
                pods.add(pod_key)
            node = listed.node_name or (pod.spec.node_name if pod else "")
            if node:
                nodes.add(node)
            if not listed.conditions.is_ready or listed.conditions.terminating:
                continue
            template = _described(listed, pod, node, around)
            for number, target in numbers:
                for address in listed.addresses[:1]:  # the others are the same pod (the API deprecates them)
                    ports[number].setdefault((address, target), template._replace(address=address, port=target))
    return Found(
        {number: tuple(found[key] for key in sorted(found)) for number, found in ports.items()},
        frozenset(pods),
        frozenset(nodes),
    )


def _pod_key(listed: SliceEndpoint, namespace: str) -> tuple[str, str] | None:
    target = listed.target_ref
    if target is None or target.kind != "Pod" or not target.name:
        return None
    return target.namespace or namespace, target.name


def _described(listed: SliceEndpoint, pod: Pod | None, node: str, around: Surroundings) -> Endpoint:
    known = bool(node) and around.node(node) is not None
    locality = around.locality(node) if known else NOWHERE._replace(zone=listed.zone)
    if pod is None:
        return Endpoint("", 0, *locality)
    return Endpoint(
        "",
        0,
        *locality,
        labels=pod.metadata.labels,
        has_sidecar=has_sidecar(pod),
        pod=pod.metadata.name,
        service_account=pod.spec.service_account_name,
    )
