"""ExternalService: the addresses behind a port, and the TLS towards them (destinations.md §8), as a destination or
behind a VirtualDestination.

Egress and the entries for sidecars do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from msgspec.structs import replace

from fingerpost.api.common import PortSelector
from fingerpost.api.networking.external_endpoint import ExternalEndpointSpec
from fingerpost.api.networking.external_service import Port, TlsConfig, TLSMode
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter, Severity
from mgmt.translate.ir import Address, ClientTls, Destination, DestinationSettings, Upstream, Value
from mgmt.translate.routing.destination_views import (
    HTTP2_PROTOCOLS,
    ExternalServiceView,
    NamedPort,
    describe_port,
    select_port,
)
from mgmt.translate.workspace.selectors import labels_match

_TLS_PROTOCOLS = frozenset({"HTTPS", "TLS"})


class ExternalEndpointView(Value, frozen=True):
    """An ExternalEndpoint. `labels` are sorted pairs."""

    key: ObjectKey
    spec: ExternalEndpointSpec
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def named_ports(self) -> tuple[NamedPort, ...]:
        return tuple(NamedPort(p.number, p.name) for p in self.spec.ports)


class ExternalPort(Value, frozen=True):
    """One port of an ExternalService as the proxy sees it. No addresses: requests get 503.

    As a destination it stands for one of its hosts (`addresses`), behind a VirtualDestination for all (`backing`).
    """

    number: int
    http2: bool
    addresses: tuple[Address, ...]
    backing: tuple[Address, ...]
    tls: ClientTls | None = None


class ExternalBacking(Value, frozen=True):
    """All ports of one ExternalService. A problem of severity INVALID takes it out as a whole."""

    key: ObjectKey
    ports: tuple[ExternalPort, ...] = ()
    endpoints: int = 0  # status.numSelectedExternalEndpoints
    problems: tuple[Problem, ...] = ()

    def port(self, number: int) -> ExternalPort | None:
        return next((p for p in self.ports if p.number == number), None)


def select_endpoints(
    view: ExternalServiceView, candidates: Iterable[ExternalEndpointView]
) -> tuple[ExternalEndpointView, ...]:
    """`candidates` are the ExternalEndpoints of the same workspace, of any cluster. An empty selector selects none
    (D-68).
    """
    if not view.spec.selector:
        return ()
    chosen = (e for e in candidates if labels_match(view.spec.selector, dict(e.labels)))
    return tuple(sorted(chosen, key=lambda e: e.key))


def resolve_external(view: ExternalServiceView, candidates: Iterable[ExternalEndpointView]) -> ExternalBacking:
    report = Reporter(view.key)
    endpoints = select_endpoints(view, candidates)
    ports = []
    for i, port in enumerate(view.spec.ports):
        if port.egress_gateway_routes is not None:
            report.warn(
                f"spec.ports[{i}].egressGatewayRoutes",
                "NotImplemented",
                f"spec.ports[{i}].egressGatewayRoutes is not implemented in this version",
            )
        target = port.target_port or PortSelector(number=port.number)
        if endpoints:
            backing = addresses = _of_endpoints(endpoints, target, f"spec.ports[{i}].targetPort", report)
        else:
            backing = _of_itself(view, target, i, report)
            addresses = backing[:1] if view.spec.hosts else backing
        ports.append(
            ExternalPort(
                number=port.number,
                http2=port.protocol.upper() in HTTP2_PROTOCOLS,
                addresses=addresses,
                backing=backing,
                tls=_client_tls(view, port),
            )
        )
    invalid = any(p.severity is Severity.INVALID for p in report.problems)
    return ExternalBacking(
        key=view.key,
        ports=() if invalid else tuple(ports),
        endpoints=len(endpoints),
        problems=tuple(report.problems),
    )


def _of_endpoints(
    endpoints: Sequence[ExternalEndpointView], target: PortSelector, path: str, report: Reporter
) -> tuple[Address, ...]:
    addresses = []
    for endpoint in endpoints:
        spec, where = endpoint.spec, endpoint.spec.locality
        number = select_port(target, endpoint.named_ports)
        if number is None and not spec.address.startswith("unix://"):
            report.warn(
                path,
                "PortNotFound",
                f"{endpoint.key} has no port {describe_port(target)} and is left out; add the port to its spec.ports",
            )
            continue
        addresses.append(
            Address(
                host=spec.address,
                port=number or 0,
                region=where.region if where else "",
                zone=where.zone if where else "",
                sub_zone=where.sub_zone if where else "",
            )
        )
    return tuple(addresses)


def _of_itself(view: ExternalServiceView, target: PortSelector, index: int, report: Reporter) -> tuple[Address, ...]:
    if not target.number:
        report.invalid(
            f"spec.ports[{index}].targetPort",
            "NoEndpoints",
            f"spec.ports[{index}].targetPort names port {describe_port(target)} but no ExternalEndpoint is "
            "selected; use a number",
        )
        return ()
    if view.spec.hosts:
        names = [h for h in view.hosts if not h.startswith("*")]
        if not names:
            report.warn(
                "spec.hosts",
                "Wildcard",
                f"host {view.host} has no addresses of its own, so gateways cannot send to it; add a host without "
                "wildcard "
                "or select ExternalEndpoints",
                located=True,
            )
        return tuple(Address(host=h, port=target.number) for h in names)
    if any("/" in a for a in view.spec.addresses):
        report.warn(
            "spec.addresses", "AddressRange", "a range in spec.addresses cannot be dialled by gateways; list single IPs"
        )
        return ()
    return tuple(Address(host=a, port=target.number) for a in sorted(view.spec.addresses))


def _client_tls(view: ExternalServiceView, port: Port) -> ClientTls | None:
    """A port with protocol HTTPS or TLS starts TLS even when nothing is written (§8.3)."""
    config = port.clientside_tls
    if config is None:
        if port.protocol.upper() not in _TLS_PROTOCOLS:
            return None
        config = TlsConfig()
    if config.mode is TLSMode.DISABLE:
        return None
    hosts = [h for h in view.spec.hosts if not h.startswith("*")]
    only_host = hosts[0] if len(view.spec.hosts) == 1 and hosts else ""
    sni = config.sni or only_host
    mutual, mesh = config.mode is TLSMode.MUTUAL, config.mode is TLSMode.ISTIO_MUTUAL
    return ClientTls(
        sni=sni,
        host_sni=not config.sni and len(view.spec.hosts) > 1,
        verify=not config.insecure_skip_verify,
        subject_alt_names=tuple(sorted(view.spec.subject_alt_names)) or ((sni,) if sni and not mesh else ()),
        certificate_file=config.client_certificate if mutual else "",
        key_file=config.private_key if mutual else "",
        ca_file="" if mesh else config.ca_certificates,
        credential="" if mesh else config.credential_name,
        mesh_certificate=mesh,
    )


def external_upstream(
    destination: Destination, backing: ExternalBacking, settings: DestinationSettings
) -> Upstream | None:
    """The ExternalService as a destination of its own; None when it lacks the port."""
    port = backing.port(destination.port)
    if port is None:
        return None
    tls = (("", port.tls),) if port.tls is not None else ()
    return Upstream(destination=destination, http2=port.http2, inline=port.addresses, tls=tls, settings=settings)


def tls_mode(key: ObjectKey, port: int) -> str:
    """The tlsMode of an external endpoint behind a VirtualDestination. It depends on nothing else, so that it holds
    while others come and go.
    """
    return f"external/{key.cluster}/{key.namespace}/{key.name}/{port}"


def as_backing(backing: ExternalBacking, number: int) -> tuple[tuple[Address, ...], tuple[tuple[str, ClientTls], ...]]:
    """Addresses and TLS that the port adds to a VirtualDestination: plain text unless the port has TLS (D-73)."""
    port = backing.port(number)
    if port is None:
        return (), ()
    if port.tls is None:
        return port.backing, ()
    modes: dict[str, ClientTls] = {}
    addresses = []
    for address in port.backing:
        mode, tls = tls_mode(backing.key, number), port.tls
        if tls.host_sni:
            mode, tls = f"{mode}/{address.host}", _for_host(tls, address.host)
        modes[mode] = tls
        addresses.append(replace(address, tls_mode=mode))
    return tuple(addresses), tuple(sorted(modes.items(), key=lambda m: m[0]))


def _for_host(tls: ClientTls, host: str) -> ClientTls:
    sni = "" if _is_ip(host) or host.startswith("unix://") else host
    names = tls.subject_alt_names or ((sni,) if sni else ())
    return replace(tls, sni=sni, host_sni=False, subject_alt_names=names)


def outside_fleet(backing: ExternalBacking, cluster_domains: Iterable[str]) -> tuple[str, ...]:
    """Addresses that lie neither under a cluster's domain nor in a private range: outlier detection is meant for
    others (P-104).
    """
    suffixes = tuple(f".{domain}" for domain in cluster_domains)
    hosts = {a.host for p in backing.ports for a in p.addresses}
    return tuple(sorted(h for h in hosts if not _inside(h, suffixes)))


def _inside(host: str, suffixes: tuple[str, ...]) -> bool:
    if host.startswith("unix://"):
        return True
    return ip_address(host).is_private if _is_ip(host) else host.endswith(suffixes)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
