"""ServiceEntry: the host of a VirtualDestination (destinations.md §5.5) or of an ExternalService (§8.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, ip_network
from itertools import count
from typing import Any, Final

from fingerpost.problems import Problem
from mgmt.translate.emit.istio.destination import External, Local, Port, VirtualHost
from mgmt.translate.emit.istio.destination_rule import emit_external_rules, emit_virtual_rule
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.names import joined
from mgmt.translate.emit.istio.objects import HERE, Emitted, IstioObject, build, cannot
from mgmt.translate.emit.istio.workload_entry import emit_workload_entries, is_ip, remote_endpoints

KIND = "ServiceEntry"
_SPACE: Final = 0xF000_0000  # 240.0.0.0/4
_ISTIODS_OWN: Final = ip_network("240.240.0.0/16")
_BROADCAST: Final = IPv4Address("255.255.255.255")


def virtual_address(host: str) -> str:
    """The same in all clusters, whatever else there is (D-39)."""
    for attempt in count():
        digest = sha256(f"{host}#{attempt}".encode()).digest()
        address = IPv4Address(_SPACE | int.from_bytes(digest[:4], "big") & 0x0FFF_FFFF)
        if address not in _ISTIODS_OWN and address != _BROADCAST:
            return str(address)
    raise AssertionError("unreachable")


# ---------------------------------------------------------------- VirtualDestination


def emit_virtual_host(cluster: str, found: VirtualHost, site: Site) -> Emitted:
    """`site` gives the planes' names; namespaces are those of the backing Service, or of all the audience."""
    if "." not in found.host:
        message = f"host {found.host} has no dot: Istio takes it for a Service of the gateway's namespace; add a domain"
        return Emitted(problems=(cannot(found.parent, "spec.hosts", message, located=True),))
    problems: list[Problem] = []
    local = _usable(found, cluster, problems)
    ports = tuple(p for p in found.ports if local is None or local.target(p.number) is not None)
    endpoints = _complete(found, ports, local, problems)
    if not ports:
        return Emitted(problems=tuple(problems))
    objects: list[IstioObject] = []
    for namespace in (local.namespace,) if local else found.audience:
        here = Site(cluster=cluster, namespace=namespace, workspace=found.workspace, owner=site.owner, agent=site.agent)
        audience = list(found.audience) if local else HERE
        objects += _entries(here, found, ports, local, endpoints, audience)
        rule = emit_virtual_rule(here, found, ports, local, audience)
        problems += rule.problems
        objects += rule.objects
    return Emitted(tuple(objects), tuple(dict.fromkeys(problems)))


def _usable(found: VirtualHost, cluster: str, problems: list[Problem]) -> Local | None:
    local = found.local
    if local is None:
        return None
    if local.unusable:
        message = (
            f"the endpoints in cluster {cluster} cannot be reached by {found.host} at Istio gateways: the Service in "
            f"namespace {local.namespace} {local.unusable}"
        )
        problems.append(cannot(found.parent, "spec.services", message))
        return None
    for port in found.ports:
        if local.target(port.number) is None:
            message = (
                f"port {port.number} is not served in cluster {cluster}, whose Service lacks it: all ports of a "
                "ServiceEntry have the same endpoints"
            )
            problems.append(cannot(found.parent, "spec.ports", message))
    return local


def _complete(
    found: VirtualHost, ports: Sequence[Port], local: Local | None, problems: list[Problem]
) -> list[dict[str, Any]]:
    """Endpoints that have every port; to one that lacks some Istio would send on the number of the host's own port."""
    wanted = {port.number for port in ports}
    remote = tuple(r for r in found.remote if wanted <= {number for number, _ in r.ports})
    for left_out in found.remote:
        if left_out not in remote:
            text = f"cluster {left_out.cluster} lacks ports of the destination and is left out: all ports of a "
            problems.append(cannot(found.parent, "spec.ports", f"{text}ServiceEntry have the same endpoints"))
    kept = VirtualHost(
        parent=found.parent,
        host=found.host,
        workspace=found.workspace,
        ports=found.ports,
        remote=remote,
        external=found.external,
    )
    names = {port.name for port in ports}
    endpoints = []
    for endpoint in remote_endpoints(kept, ports, local.selector if local else ()):
        if "ports" in endpoint and set(endpoint["ports"]) != names:
            text = f"endpoint {endpoint['address']} does not have all ports of the destination and is left out"
            problems.append(cannot(found.parent, "spec.externalServices", text))
        else:
            endpoints.append(endpoint)
    return _of_one_kind(endpoints, found, problems)


def _of_one_kind(
    endpoints: list[dict[str, Any]], found: VirtualHost | External, problems: list[Problem]
) -> list[dict[str, Any]]:
    """Sockets of the file system are no names to resolve."""
    if all(_static(e["address"]) for e in endpoints) or not any(e["address"].startswith("unix:") for e in endpoints):
        return endpoints
    text = "unix sockets beside host names cannot be endpoints of one ServiceEntry and are left out; use addresses"
    problems.append(cannot(found.parent, "spec", text, located=True))
    return [e for e in endpoints if not e["address"].startswith("unix:")]


def _static(address: str) -> bool:
    return is_ip(address) or address.startswith("unix:")


def _resolution(endpoints: Iterable[dict[str, Any]]) -> str:
    return "STATIC" if all(_static(e["address"]) for e in endpoints) else "DNS"


def _entries(
    site: Site,
    found: VirtualHost,
    ports: Sequence[Port],
    local: Local | None,
    endpoints: list[dict[str, Any]],
    audience: list[str],
) -> list[IstioObject]:
    stem = f"vd-{found.host}-{found.workspace}"
    spec: dict[str, Any] = {
        "hosts": [found.host],
        "addresses": [virtual_address(found.host)],
        "location": "MESH_INTERNAL",
        "resolution": _resolution(endpoints),
        "ports": [_port(port, local.target(port.number) if local else None) for port in ports],
        "exportTo": audience,
    }
    if found.identities:
        spec["subjectAltNames"] = list(found.identities)
    entries: list[IstioObject] = []
    if local:
        spec["workloadSelector"] = {"labels": dict(local.selector)}
        entries = emit_workload_entries(site, stem, found, endpoints)
    elif endpoints:
        spec["endpoints"] = endpoints
    return [build(KIND, site, joined(stem), [found.parent], spec), *entries]


def _port(port: Port, target: int | None) -> dict[str, Any]:
    out: dict[str, Any] = {"name": port.name, "number": port.number, "protocol": port.protocol}
    if target not in (None, port.number):
        out["targetPort"] = target
    return out


# ---------------------------------------------------------------- ExternalService


def emit_external(site: Site, found: External) -> Emitted:
    """In one namespace with gateways of a workspace that sees the object."""
    parent, problems = found.parent, list[Problem]()
    hosts = list(found.hosts)
    spec: dict[str, Any] = {"location": "MESH_EXTERNAL", "exportTo": HERE}
    targets = dict(found.targets)
    if found.endpoints:
        names = {port.name for port in found.ports}
        whole = [e for e in found.endpoints if e.address.startswith("unix:") or {n for n, _ in e.ports} >= names]
        endpoints = _of_one_kind([_endpoint(e.address, e) for e in whole], found, problems)
        spec |= {"resolution": _resolution(endpoints), "endpoints": endpoints}
        targets = {}
    elif found.addresses:
        singles = all("/" not in address for address in found.addresses)
        spec["addresses"] = list(found.addresses)
        spec["resolution"] = "STATIC" if singles else "NONE"
        if singles:
            spec["endpoints"] = [{"address": address} for address in found.addresses]
    else:
        named = [host for host in hosts if not host.startswith("*")]
        spec["resolution"] = "DNS" if named else "NONE"
        if named and len(named) < len(hosts):
            text = "hosts with a wildcard have no address to send to and are left out beside others; give them "
            problems.append(cannot(parent, "spec.hosts", f"{text}an ExternalService of their own"))
            hosts = named
    spec["hosts"] = hosts
    spec["ports"] = [_port(port, targets.get(port.number)) for port in found.ports]
    if found.subject_alt_names:
        spec["subjectAltNames"] = list(found.subject_alt_names)
    name = joined("externalservice", parent.name, parent.namespace, parent.cluster, site.workspace)
    rules = emit_external_rules(site, found, hosts)
    entry = build(KIND, site, name, [parent], spec)
    return Emitted((entry, *rules.objects), (*problems, *rules.problems))


def _endpoint(address: str, found: Any) -> dict[str, Any]:
    out: dict[str, Any] = {"address": address}
    if found.ports and not address.startswith("unix:"):
        out["ports"] = dict(found.ports)
    if found.labels:
        out["labels"] = dict(found.labels)
    if found.locality:
        out["locality"] = found.locality
    return out
