"""ExternalEndpoint: an address that can be dialled, and ports that can be told apart (destinations.md §8.2)."""

from __future__ import annotations

from fingerpost.api.limits import LONGEST_HOST, LONGEST_NAME, MOST_DISTINCT
from fingerpost.api.networking.external_endpoint import ExternalEndpoint
from fingerpost.crd.rules import external_endpoint as rules
from fingerpost.problems import Reporter
from mgmt.translate.check.addresses import is_ip
from mgmt.translate.check.rules import check_length, check_port_number, check_text, refuse
from mgmt.translate.routing.hosts import host_problem

_UNIX = "unix://"


def check(endpoint: ExternalEndpoint, report: Reporter) -> None:
    spec = endpoint.spec
    if not spec.address:
        refuse(report, "spec.address", "is missing; write an IP, a host name or unix:///an/absolute/path")
    elif not _can_dial(spec.address):
        refuse(report, "spec.address", f'"{spec.address}" {rules.ADDRESS}')
    check_length(report, "spec.ports", spec.ports, MOST_DISTINCT)
    names: set[str] = set()
    for i, port in enumerate(spec.ports):
        path = f"spec.ports[{i}]"
        if not port.number:
            refuse(report, f"{path}.number", "is missing; write a port from 1 to 65535")
        check_port_number(report, f"{path}.number", port.number)
        if not port.name and len(spec.ports) > 1:
            refuse(report, f"{path}.name", "is missing; with several ports each needs a name")
        if port.name and port.name in names:
            refuse(report, f"{path}.name", f'"{port.name}" is used by an earlier port; every name must differ')
        check_text(report, f"{path}.name", port.name, LONGEST_NAME)
        names.add(port.name)


def _can_dial(address: str) -> bool:
    if address.startswith(_UNIX):
        return address.startswith(f"{_UNIX}/") and len(_UNIX) + 1 < len(address) <= LONGEST_HOST
    return is_ip(address) or ("*" not in address and host_problem(address) is None)
