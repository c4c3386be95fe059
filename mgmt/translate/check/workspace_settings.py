"""WorkspaceSettings: sharing must be stated, and options must be possible (workspaces.md §3.1, §4)."""

from __future__ import annotations

from collections.abc import Sequence

from fingerpost.api.admin.workspace_settings import EastWestGatewaySelector, WorkspaceObjectSelector, WorkspaceSettings
from fingerpost.crd.rules import workspace_settings as rules
from fingerpost.problems import Reporter
from mgmt.translate.check.addresses import is_ip
from mgmt.translate.check.rules import check_client_mode, check_port, check_port_number, refuse
from mgmt.translate.routing.hosts import host_problem

_CODE = "SelectsNothing"
_NO_ADDRESS = (
    "is neither an IP nor a host name without wildcard; write the address of the gateway, such as 192.0.2.1 or "
    "lb.example.com"
)


def check(settings: WorkspaceSettings, report: Reporter) -> None:
    spec = settings.spec
    _check_sharing(report, "spec.importFrom", spec.import_from)
    _check_sharing(report, "spec.exportTo", spec.export_to)
    if spec.options is None:
        return
    path = "spec.options"
    for i, gateway in enumerate(spec.options.east_west_gateways):
        _check_gateway(report, f"{path}.eastWestGateways[{i}]", gateway)
    if spec.options.federation is not None:
        suffix = spec.options.federation.host_suffix
        if suffix and ("*" in suffix or host_problem(suffix)):
            refuse(report, f"{path}.federation.hostSuffix", f'"{suffix}" {rules.SUFFIX}')
        for i, port in enumerate(spec.options.federation.ports):
            check_port(report, f"{path}.federation.ports[{i}]", port)
    check_client_mode(report, f"{path}.virtualDestClientMode", spec.options.virtual_dest_client_mode)


def _check_sharing(report: Reporter, path: str, entries: Sequence[WorkspaceObjectSelector]) -> None:
    for i, entry in enumerate(entries):
        where = f"{path}[{i}].workspaces"
        if not entry.workspaces:
            report.warn(
                where, _CODE, 'workspaces is empty, nothing is shared; list workspaces, or name: "*" for everyone'
            )
        for j, selector in enumerate(entry.workspaces):
            if not (selector.name or selector.selector):
                message = 'neither name nor selector is set, nothing is shared; set one, or name: "*" for everyone'
                report.warn(f"{where}[{j}]", _CODE, message)


def _check_gateway(report: Reporter, path: str, gateway: EastWestGatewaySelector) -> None:
    check_port(report, f"{path}.port", gateway.port)
    check_port(report, f"{path}.tlsTerminationPort", gateway.tls_termination_port)
    for i, info in enumerate(gateway.host_info_overrides):
        where = f"{path}.hostInfoOverrides[{i}]"
        if not info.addr:
            refuse(report, f"{where}.addr", "is missing; write the address of the gateway")
        elif not is_ip(info.addr) and ("*" in info.addr or host_problem(info.addr)):
            report.invalid(f"{where}.addr", "InvalidHost", f'"{info.addr}" {_NO_ADDRESS}')
        if not info.port:
            refuse(report, f"{where}.port", "is missing; write the port of the gateway")
        check_port_number(report, f"{where}.port", info.port)
