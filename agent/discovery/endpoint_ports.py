"""Which port of a slice belongs to which port of its Service: by name, which also resolves a target port that is a
name.
"""

from __future__ import annotations

from collections.abc import Iterable

from fingerpost.api.core.endpoint_slice import EndpointSlice
from fingerpost.api.core.service import Service

_FAMILIES = ("IPv4", "IPv6")


def of_one_family(service: Service, slices: Iterable[EndpointSlice]) -> list[EndpointSlice]:
    """A dual-stack Service has its pods twice; its first family is enough."""
    there = list(slices)
    first = "IPv6" if ":" in service.spec.cluster_ip else "IPv4"
    for family in (first, *_FAMILIES):
        chosen = [one for one in there if one.address_type == family]
        if chosen:
            return chosen
    return []


def numbers(service: Service, one: EndpointSlice) -> list[tuple[int, int]]:
    """(number of the Service's port, number to dial). A slice port without a number means the target port as it is."""
    out = []
    for port in service.spec.ports:
        for offered in one.ports:
            if offered.name == port.name and offered.protocol == port.protocol:
                target = offered.port or port.listening_port
                if target:
                    out.append((port.port, target))
    return out
