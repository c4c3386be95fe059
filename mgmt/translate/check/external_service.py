"""ExternalService: either hosts or addresses, ports, and TLS that can be originated (destinations.md §8.1)."""

from __future__ import annotations

from fingerpost.api.limits import LONGEST_NAME, MOST_DISTINCT, MOST_HOSTS
from fingerpost.api.networking.external_service import ExternalService, ExternalServiceSpec, Port, TlsConfig, TLSMode
from fingerpost.crd.rules import external_service as rules
from fingerpost.problems import Reporter
from mgmt.translate.check.addresses import is_ip_or_range
from mgmt.translate.check.protocols import check_protocol
from mgmt.translate.check.rules import check_length, check_port, check_port_number, check_reference, check_text, refuse
from mgmt.translate.routing.hosts import host_problem

_EGRESS_DEFAULT = 80
_EGRESS_PROTOCOLS = ("HTTP", "HTTP2", "HTTPS")


def check(service: ExternalService, report: Reporter) -> None:
    spec = service.spec
    _check_names(spec, report)
    check_length(report, "spec.ports", spec.ports, MOST_DISTINCT)
    numbers: set[int] = set()
    names: set[str] = set()
    for i, port in enumerate(spec.ports):
        path = f"spec.ports[{i}]"
        _check_port(path, port, spec, report)
        name = port.name or f"{port.protocol.lower()}-{port.number}"
        if name in names:
            refuse(report, f"{path}.name", f'"{name}" is used by an earlier port; every name must differ')
        if port.number in numbers:
            refuse(report, f"{path}.number", f"{port.number} is used by an earlier port; every number must differ")
        names.add(name)
        numbers.add(port.number)
    _check_egress(spec, report)


def _check_names(spec: ExternalServiceSpec, report: Reporter) -> None:
    if spec.hosts and spec.addresses:
        refuse(report, "spec", rules.BOTH)
    if not (spec.hosts or spec.addresses):
        refuse(report, "spec", rules.NEITHER)
    check_length(report, "spec.hosts", spec.hosts, MOST_HOSTS)
    check_length(report, "spec.addresses", spec.addresses, MOST_HOSTS)
    for i, host in enumerate(spec.hosts):
        # A wildcard stands for whole labels here: "*.foo.com", not "*foo.com".
        problem = host_problem(host.removeprefix("*.")) if host != "*" else "a host name must follow the wildcard"
        if problem or "*" in host.removeprefix("*."):
            refuse(report, f"spec.hosts[{i}]", f'"{host}": {problem or "* may only stand for the first label"}')
    for i, address in enumerate(spec.addresses):
        if not is_ip_or_range(address):
            refuse(report, f"spec.addresses[{i}]", f'"{address}" is neither an IP nor a range such as 192.0.2.0/24')


def _check_port(path: str, port: Port, spec: ExternalServiceSpec, report: Reporter) -> None:
    if not port.number:
        refuse(report, f"{path}.number", "is missing; write a port from 1 to 65535")
    check_port_number(report, f"{path}.number", port.number)
    check_protocol(report, f"{path}.protocol", port.protocol)
    check_port(report, f"{path}.targetPort", port.target_port)
    check_text(report, f"{path}.name", port.name, LONGEST_NAME)
    if port.target_port and port.target_port.name and not port.target_port.number and not spec.selector:
        message = f'name "{port.target_port.name}" needs ExternalEndpoints, but selector is empty; use a number'
        refuse(report, f"{path}.targetPort", message)
    if port.clientside_tls is not None:
        _check_tls(f"{path}.clientsideTls", port.clientside_tls, report)


def _check_tls(path: str, tls: TlsConfig, report: Reporter) -> None:
    files = {
        "clientCertificate": tls.client_certificate,
        "privateKey": tls.private_key,
        "caCertificates": tls.ca_certificates,
    }
    if tls.mode is TLSMode.MUTUAL and not tls.credential_name and not (tls.client_certificate and tls.private_key):
        missing = " and ".join(name for name in ("clientCertificate", "privateKey") if not files[name])
        refuse(report, path, f"mode MUTUAL needs {missing}; set both files, or credentialName")
    if tls.mode is TLSMode.ISTIO_MUTUAL and (given := [name for name, value in files.items() if value]):
        refuse(report, path, f"mode ISTIO_MUTUAL brings its own certificates; remove {' and '.join(given)}")


def _check_egress(spec: ExternalServiceSpec, report: Reporter) -> None:
    matches: set[int] = set()
    for i, port in enumerate(spec.ports):
        egress = port.egress_gateway_routes
        if egress is None:
            continue
        path = f"spec.ports[{i}].egressGatewayRoutes"
        match = egress.port_match or _EGRESS_DEFAULT
        check_port_number(report, f"{path}.portMatch", match)
        if match in matches:
            refuse(report, f"{path}.portMatch", f"{match} is used by an earlier port; every portMatch must differ")
        matches.add(match)
        if not spec.hosts:
            refuse(report, path, "needs hosts; a service known by addresses only cannot be reached through a gateway")
        if port.protocol.upper() not in _EGRESS_PROTOCOLS:
            refuse(report, path, f'needs protocol {", ".join(_EGRESS_PROTOCOLS)}, not "{port.protocol}"')
        for j, ref in enumerate(egress.virtual_gateway_refs):
            check_reference(report, f"{path}.virtualGatewayRefs[{j}]", ref)
