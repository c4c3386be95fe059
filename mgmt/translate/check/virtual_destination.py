"""VirtualDestination: its hosts, ports and that it stands for something (destinations.md §5.1)."""

from __future__ import annotations

from fingerpost.api.limits import MOST_DISTINCT
from fingerpost.api.networking.virtual_destination import PortMapping, VirtualDestination
from fingerpost.crd.rules import virtual_destination as rules
from fingerpost.problems import Reporter
from mgmt.translate.check.protocols import check_protocol
from mgmt.translate.check.rules import check_client_mode, check_length, check_port, check_port_number, refuse
from mgmt.translate.routing.hosts import host_problem


def check(vd: VirtualDestination, report: Reporter) -> None:
    spec = vd.spec
    selects = bool(spec.services or spec.external_services or spec.external_workloads)
    if not (spec.hosts or selects):
        refuse(report, "spec", rules.STANDS_FOR_NOTHING)
    check_length(report, "spec.hosts", spec.hosts, MOST_DISTINCT)
    check_length(report, "spec.ports", spec.ports, MOST_DISTINCT)
    _check_hosts(spec.hosts, report)
    if not spec.ports:
        refuse(report, "spec.ports", "is empty; at least one port is needed")
    numbers: set[int] = set()
    for i, port in enumerate(spec.ports):
        _check_port(f"spec.ports[{i}]", port, selects=selects, report=report)
        if port.number in numbers:
            refuse(
                report, f"spec.ports[{i}].number", f"{port.number} is used by an earlier port; every number must differ"
            )
        numbers.add(port.number)
    check_client_mode(report, "spec.clientMode", spec.client_mode)


def _check_hosts(hosts: tuple[str, ...], report: Reporter) -> None:
    seen: set[str] = set()
    for i, host in enumerate(hosts):
        path = f"spec.hosts[{i}]"
        if "*" in host:
            refuse(report, path, f'"{host}" has a wildcard, but a VirtualDestination needs full host names')
        elif problem := host_problem(host):
            refuse(report, path, f'"{host}": {problem}')
        if host.lower() in seen:
            refuse(report, path, f'"{host}" is listed twice; remove one of them')
        seen.add(host.lower())


def _check_port(path: str, port: PortMapping, *, selects: bool, report: Reporter) -> None:
    if not port.number:
        refuse(report, f"{path}.number", "is missing; write a port from 1 to 65535")
    check_port_number(report, f"{path}.number", port.number)
    check_protocol(report, f"{path}.protocol", port.protocol)
    if port.target_port is not None and not selects:
        refuse(report, f"{path}.targetPort", rules.TARGET_OF_NOTHING)
    check_port(report, f"{path}.targetPort", port.target_port)
