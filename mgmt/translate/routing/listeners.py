"""Listeners of one VirtualGateway: first what the object says alone, then on which port of a gateway Service each one
listens.

Conflicts between listeners are settled in `gateway_plan`, where those of all VirtualGateways of a gateway meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from fingerpost.api.internal.discovered_gateway import DiscoveredGatewaySpec, GatewayPort
from fingerpost.api.networking.virtual_gateway import Listener, TLSConfig, TLSMode, VirtualGatewaySpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter, Severity
from mgmt.translate.ir import Value
from mgmt.translate.routing.hosts import host_problem
from mgmt.translate.routing.listener_tls import ServerTls, terminate

HTTP: Final = "HTTP"
HTTPS: Final = "HTTPS"
_PLAIN = frozenset({HTTP, "GRPC", "GRPC-WEB", "HTTP_PROXY", "HTTP2"})


class ListenerPlan(Value, frozen=True):
    """An http listener that can work. `hosts` have no namespace prefix and are in lower case; the first decides
    conflicts.
    """

    index: int
    port_number: int = 0  # of the gateway Service; 0: by name
    port_name: str = ""
    protocol: str = HTTP
    tls: ServerTls | None = None
    hosts: tuple[str, ...] = ("*",)
    https_redirect: bool = False


class ResolvedListener(Value, frozen=True):
    """A listener on a gateway Service: which port of the Service, and which port the proxy listens on."""

    plan: ListenerPlan
    service_port: int
    listening_port: int


class PortMiss(Value, frozen=True):
    """A listener that one gateway Service has no port for, and why."""

    index: int
    message: str


def split_host(host: str) -> tuple[str, str]:
    """`[<namespace>/]<dnsName>` -> namespace (`*` when none is given), name in lower case."""
    namespace, slash, name = host.rpartition("/")
    return (namespace if slash else "*"), name.lower()


def _hosts(path: str, listener: Listener, report: Reporter) -> tuple[str, ...]:
    """Hosts of `allowedRouteTables`, else those of `exposedExternalServices`, else `*`; empty when none of them is
    valid.
    """
    name = "allowedRouteTables" if listener.allowed_route_tables else "exposedExternalServices"
    written = [entry.host for entry in listener.allowed_route_tables]
    if not written:
        written = [entry.host for entry in listener.exposed_external_services]
    if not written:
        return ("*",)
    hosts = []
    for i, text in enumerate(written):
        host = split_host(text)[1]
        if reason := host_problem(host):
            report.invalid(f"{path}.{name}[{i}].host", "InvalidHost", f'host "{text}" is not valid: {reason}')
        else:
            hosts.append(host)
    return tuple(dict.fromkeys(hosts))


def _http_tls(path: str, index: int, tls: TLSConfig, report: Reporter) -> ServerTls | None:
    if tls.mode in (TLSMode.PASSTHROUGH, TLSMode.AUTO_PASSTHROUGH):
        message = f"listener {index}: http listeners need tls.mode SIMPLE, MUTUAL or ISTIO_MUTUAL (mode is {tls.mode})"
        report.invalid(f"{path}.tls.mode", "TlsModeUnfit", message, located=True)
        return None
    if tls.mode is TLSMode.ISTIO_MUTUAL:
        message = f"listener {index}: tls.mode ISTIO_MUTUAL is not possible on an Envoy gateway: use SIMPLE or MUTUAL"
        report.invalid(f"{path}.tls.mode", "TlsModeUnfit", message, located=True)
        return None
    return terminate(f"{path}.tls", index, tls, report)


def _protocol(path: str, index: int, listener: Listener, report: Reporter) -> str | None:
    allowed = _PLAIN if listener.tls is None else frozenset({HTTPS})
    default = HTTP if listener.tls is None else HTTPS
    protocol = listener.app_protocol.upper() or default
    if protocol in allowed:
        return protocol
    what = "an http listener with tls" if listener.tls else "an http listener without tls"
    choice = ", ".join(sorted(allowed))
    message = f"listener {index}: appProtocol {listener.app_protocol} does not fit {what}: use one of {choice}"
    report.invalid(f"{path}.appProtocol", "ProtocolUnfit", message, located=True)
    return None


def _compile(index: int, listener: Listener, report: Reporter) -> ListenerPlan | None:
    path = f"spec.listeners[{index}]"
    if listener.http is None:
        message = f"listener {index}: tcp listeners are not implemented in this version, the listener is skipped"
        report.warn(f"{path}.tcp", "NotImplemented", message, located=True)
        return None
    if listener.tcp is not None:
        report.invalid(path, "OneOf", f"listener {index}: http and tcp are both set: remove one of them", located=True)
        return None
    if listener.https_redirect and listener.tls is not None:
        report.invalid(
            path, "OneOf", f"listener {index}: httpsRedirect and tls are both set: remove one of them", located=True
        )
        return None
    port = listener.port
    if port is None or not (port.number or port.name):
        report.invalid(f"{path}.port", "PortMissing", "Either port.number or port.name must be set.")
        return None
    protocol = _protocol(path, index, listener, report)
    tls = None if listener.tls is None else _http_tls(path, index, listener.tls, report)
    hosts = _hosts(path, listener, report)
    if protocol is None or not hosts or (listener.tls is not None and tls is None):
        return None
    return ListenerPlan(
        index=index,
        port_number=port.number,
        port_name="" if port.number else port.name,  # of both the number wins (§2.3)
        protocol=protocol,
        tls=tls,
        hosts=hosts,
        https_redirect=listener.https_redirect,
    )


def compile_listeners(vg: ObjectKey, spec: VirtualGatewaySpec) -> tuple[tuple[ListenerPlan, ...], tuple[Problem, ...]]:
    """What the object says alone, done once per edit: listeners that cannot work on any gateway are left out with a
    problem.
    """
    report = Reporter(vg)
    plans = [plan for i, item in enumerate(spec.listeners) if (plan := _compile(i, item, report)) is not None]
    return tuple(plans), tuple(report.problems)


def _find(plan: ListenerPlan, ports: Iterable[GatewayPort]) -> GatewayPort | None:
    if plan.port_number:
        return next((p for p in ports if p.number == plan.port_number), None)
    return next((p for p in ports if p.name == plan.port_name), None)


def resolve_listeners(
    plans: Sequence[ListenerPlan], gateway: ObjectKey, spec: DiscoveredGatewaySpec
) -> tuple[tuple[ResolvedListener, ...], tuple[PortMiss, ...]]:
    """The listening port is the numeric targetPort of the Service port (§3.3). Misses become problems in
    `port_problems`.
    """
    resolved, misses = [], []
    where = f"{gateway.namespace}/{gateway.name}"
    for plan in plans:
        port = _find(plan, spec.ports)
        wanted = plan.port_number or plan.port_name
        if port is None:
            misses.append(
                PortMiss(
                    index=plan.index,
                    message=f"listener {plan.index}: port {wanted} is not a port of gateway service {where}",
                )
            )
        elif not 1 <= port.target <= 65535:
            message = (
                f"listener {plan.index}: port {wanted} of gateway service {where} has no numeric targetPort: "
                "a gateway's targetPort must be one"
            )
            misses.append(PortMiss(index=plan.index, message=message))
        else:
            resolved.append(ResolvedListener(plan=plan, service_port=port.number, listening_port=port.target))
    return tuple(resolved), tuple(misses)


def port_problems(
    vg: ObjectKey, plans: Sequence[ListenerPlan], misses: Sequence[Sequence[PortMiss]], implicit: bool
) -> tuple[Problem, ...]:
    """`misses` holds one entry per selected gateway. INVALID when no gateway has the port, WARNING when some lack it.

    Gateways selected only because `workloads` was absent (`implicit`) may lack a port that another one has.
    """
    report = Reporter(vg)
    for plan in plans:
        messages = dict.fromkeys(m.message for one in misses for m in one if m.index == plan.index)
        count = sum(any(m.index == plan.index for m in one) for one in misses)
        nowhere = count == len(misses)
        if not messages or (implicit and not nowhere):
            continue
        severity = Severity.INVALID if nowhere else Severity.WARNING
        for message in messages:
            report.add(severity, f"spec.listeners[{plan.index}].port", "PortNotFound", message, located=True)
    return tuple(report.problems)
