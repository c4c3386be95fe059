"""The cluster's name service: NAME.NAMESPACE.svc.cluster.local, A records only, over UDP."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from tests.kube.kubelet.services import Services, endpoints

_SUFFIX = ("svc", "cluster", "local")
_A, _IN, _NO_NAME = 1, 1, 3
_ANSWER, _SECONDS = 0x8580, 5  # authoritative, recursion available


class Names(asyncio.DatagramProtocol):
    def __init__(self, addresses: Callable[[str], list[str] | None]) -> None:
        self._addresses = addresses

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            self._transport.sendto(answer(data, self._addresses), addr)
        except (IndexError, struct.error, UnicodeDecodeError):
            return  # no question; who asked runs into its time limit


def answer(query: bytes, addresses: Callable[[str], list[str] | None]) -> bytes:
    """`addresses` answers None for a name that does not exist. Other types of a name that does are empty."""
    at, labels = 12, []
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    kind, _ = struct.unpack_from("!HH", query, at + 1)
    question = query[12 : at + 5]
    found = addresses(".".join(labels).lower())
    records = [
        struct.pack("!HHHIH4s", 0xC00C, _A, _IN, _SECONDS, 4, IPv4Address(address).packed)
        for address in (found or ())
        if kind == _A
    ]
    flags = _ANSWER | (_NO_NAME if found is None else 0)
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)


def lookup(services: Services) -> Callable[[str], list[str] | None]:
    """A Service's address; of a headless one those of its ready endpoints, also one by one by their hostname."""

    def addresses(name: str) -> list[str] | None:
        labels = tuple(name.split("."))
        if labels[-3:] != _SUFFIX or len(labels) not in (5, 6):
            return None
        *host, which, namespace = labels[:-3]
        service = services.objects.get((namespace, which))
        if service is None or (host and service["spec"].get("clusterIP") != "None"):
            return None
        if service["spec"].get("clusterIP") != "None":
            return [service["spec"]["clusterIP"]] if service["spec"].get("clusterIP") else []
        if host:
            return _hostname(services, (namespace, which), host[0])
        ports = [p.get("name", "") for p in service["spec"].get("ports") or ()]
        return sorted({a for port in ports for a, _ in endpoints((namespace, which), port, services.slices)})

    return addresses


def _hostname(services: Services, service: tuple[str, str], host: str) -> list[str] | None:
    found = [
        address
        for (namespace, _), entry in services.slices.items()
        if (namespace, entry["metadata"].get("labels", {}).get("kubernetes.io/service-name")) == service
        for endpoint in entry.get("endpoints") or ()
        if endpoint.get("hostname") == host
        for address in endpoint["addresses"]
    ]
    return found or None
