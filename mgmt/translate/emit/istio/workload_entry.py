"""WorkloadEntry: an endpoint outside of the cluster, in an object of its own or within a ServiceEntry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any

from mgmt.translate.emit.istio.destination import Labels, Port, VirtualHost
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.names import joined
from mgmt.translate.emit.istio.objects import IstioObject, build

KIND = "WorkloadEntry"
_TLS_MODE = "security.istio.io/tlsMode"


def is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def remote_endpoints(found: VirtualHost, ports: Sequence[Port], selector: Labels) -> list[dict[str, Any]]:
    """The specs of all endpoints outside the cluster: gateways of other clusters, then external ones."""
    out = []
    for remote in found.remote:
        numbers = dict(remote.ports)
        for labels in remote.labels:
            entry: dict[str, Any] = {
                "address": remote.address,
                "ports": {port.name: numbers[port.number] for port in ports},
                "labels": {**dict(labels), **dict(selector), _TLS_MODE: "istio"},
                "network": remote.cluster,
            }
            if remote.region:
                entry["locality"] = remote.region
            out.append(entry)
    return out + _external(found, ports, selector)


def _external(found: VirtualHost, ports: Sequence[Port], selector: Labels) -> list[dict[str, Any]]:
    by_host: dict[tuple[str, str], dict[str, int]] = {}
    for port in ports:
        for address in dict(found.external).get(port.number, ()):
            locality = "/".join(part for part in (address.region, address.zone, address.sub_zone) if part)
            by_host.setdefault((address.host, locality), {})[port.name] = address.port
    out = []
    for (host, locality), numbers in sorted(by_host.items()):
        entry: dict[str, Any] = {"address": host}
        if not host.startswith("unix://"):
            entry["ports"] = numbers
        if selector:
            entry["labels"] = dict(selector)
        if locality:
            entry["locality"] = locality
        out.append(entry)
    return out


def emit_workload_entries(
    site: Site, stem: str, found: VirtualHost, endpoints: Iterable[dict[str, Any]]
) -> list[IstioObject]:
    out: dict[str, IstioObject] = {}
    for endpoint in endpoints:
        labels = sorted((k, v) for k, v in endpoint.get("labels", {}).items() if k != _TLS_MODE)
        parts = (stem, *(f"{k}-{v}" for k, v in labels), endpoint["address"])
        name = joined(*parts)
        if name in out:  # one address with several ports, as hostInfoOverrides may have it
            name = joined(*parts, *(str(number) for number in endpoint.get("ports", {}).values()))
        out[name] = build(KIND, site, name, [found.parent], endpoint)
    return list(out.values())
