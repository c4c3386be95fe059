"""What one gateway listens on: the listeners of all its VirtualGateways together, oldest first.

The plan names neither the gateway nor its cluster, so that gateways which listen alike share one value and everything
made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter, Severity
from mgmt.translate.ir import Value
from mgmt.translate.routing.hosts import covers
from mgmt.translate.routing.listener_tls import ServerTls
from mgmt.translate.routing.listeners import ResolvedListener


class Feed(NamedTuple):
    """A listener whose bound tables are served from a RouteConfiguration; matchers on a port mean `service_port`."""

    gateway: ObjectKey
    listener: int
    service_port: int


class RouteConfigPlan(Value, frozen=True):
    """One RouteConfiguration. `redirect_hosts` answer every request with a redirect to https (§3.7)."""

    name: str
    port: int  # the listening port
    feeds: tuple[Feed, ...]
    redirect_hosts: tuple[str, ...] = ()


class ChainPlan(Value, frozen=True):
    """A filter chain. No `server_names`: whatever name the client asks for."""

    route_config: str
    gateway: ObjectKey | None = None  # whose chain it is; None for the one plain chain that all share
    server_names: tuple[str, ...] = ()
    tls: ServerTls | None = None


class PortPlan(Value, frozen=True):
    """A port the proxy listens on. `gateways` are the VirtualGateways with a listener here, oldest first."""

    port: int
    gateways: tuple[ObjectKey, ...]
    chains: tuple[ChainPlan, ...]


class GatewayPlan(Value, frozen=True):
    ports: tuple[PortPlan, ...] = ()
    route_configs: tuple[RouteConfigPlan, ...] = ()


class GatewayListeners(NamedTuple):
    """The listeners of one VirtualGateway on the gateway at hand."""

    key: ObjectKey
    listeners: tuple[ResolvedListener, ...]


def requires_tls(host: str, redirect_hosts: Iterable[str]) -> bool:
    """A redirect holds for every virtual host within its hosts, so that no route of a bound table is reached there
    (R-33).
    """
    return any(wide in ("*", host) or covers(wide, host) for wide in redirect_hosts)


def _sni(host: str) -> str:
    """Envoy knows wildcards only as a whole label in SNI matches, so `*-x.shop.example` is widened; its routes stay
    narrow.
    """
    host = host.removesuffix(".")
    return f"*.{host.partition('.')[2]}" if host.startswith("*") and host != "*" and host[1] != "." else host


def port_name(listener: ResolvedListener) -> str:
    """`https-8443-www-shop-example` (§3.9)."""
    plan = listener.plan
    host = plan.hosts[0].replace("*", "all").replace(".", "-")
    return f"{plan.protocol.lower()}-{listener.listening_port}-{host}"


class _Member(NamedTuple):
    gateway: ObjectKey
    listener: ResolvedListener


class _Port:
    """The listeners admitted so far to one listening port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.members: list[_Member] = []
        self.claimed: dict[str, _Member] = {}  # by SNI name
        self.chains: list[ChainPlan] = []
        self.route_configs: list[RouteConfigPlan] = []

    def admit(self, new: _Member, report: Reporter) -> None:
        if self._conflicts(new, report):
            return
        if new.listener.plan.tls is not None and not self._add_chain(new, new.listener.plan.tls, report):
            return
        self.members.append(new)

    def _conflicts(self, new: _Member, report: Reporter) -> bool:
        plan = new.listener.plan
        for old in self.members:
            if old.listener.plan.protocol == plan.protocol and old.listener.plan.hosts[0] != plan.hosts[0]:
                continue
            if old.listener.plan.protocol == plan.protocol:
                code, why = "ListenerConflict", f", both for host {plan.hosts[0]}"
            else:
                code, why = "ProtocolConflict", f": {plan.protocol} here, {old.listener.plan.protocol} there"
            message = (
                f"listener {plan.index}: conflicts with {_whose(old, new)} on port {new.listener.service_port}{why}"
            )
            report.invalid(f"spec.listeners[{plan.index}]", code, message, located=True)
            return True
        return False

    def _add_chain(self, new: _Member, tls: ServerTls, report: Reporter) -> bool:
        """False when older listeners have taken every name: two chains for one name would make Envoy refuse the
        listener.
        """
        plan = new.listener.plan
        names = dict.fromkeys(_sni(host) for host in plan.hosts)
        if "*" in names:
            names = {"*": None}
        free = [name for name in names if name not in self.claimed]
        for name in names:
            if name in self.claimed:
                where = f"{_whose(self.claimed[name], new)} on port {new.listener.service_port}"
                message = f"listener {plan.index}: conflicts with {where}, both for host {name}"
                severity = Severity.WARNING if free else Severity.INVALID
                report.add(severity, f"spec.listeners[{plan.index}]", "ListenerConflict", message, located=True)
        if not free:
            return False
        for name in free:
            self.claimed[name] = new
        route_config = self._route_config_name(new)
        server_names = () if free == ["*"] else tuple(free)
        self.chains.append(
            ChainPlan(route_config=route_config, gateway=new.gateway, server_names=server_names, tls=tls)
        )
        self.route_configs.append(RouteConfigPlan(name=route_config, port=self.port, feeds=(_feed(new),)))
        return True

    def _route_config_name(self, new: _Member) -> str:
        key = new.gateway
        name = f"https.{self.port}.{port_name(new.listener)}.{key.name}.{key.namespace}"
        taken = {config.name for config in self.route_configs}
        if (
            name in taken
        ):  # hosts that differ only in what the name cannot hold, or gateways of one name in two clusters
            name = f"https.{self.port}.{port_name(new.listener)}-{new.listener.plan.index}.{key.name}.{key.namespace}"
        return f"{name}.{key.cluster}" if name in taken else name

    def _plain(self) -> None:
        members = [m for m in self.members if m.listener.plan.tls is None]
        if not members:
            return
        name = f"http.{self.port}"
        redirects = [host for m in members if m.listener.plan.https_redirect for host in m.listener.plan.hosts]
        self.chains.append(ChainPlan(route_config=name))
        self.route_configs.append(
            RouteConfigPlan(
                name=name,
                port=self.port,
                feeds=tuple(_feed(m) for m in members),
                redirect_hosts=tuple(dict.fromkeys(redirects)),
            )
        )

    def finish(self) -> PortPlan | None:
        self._plain()
        gateways = tuple(dict.fromkeys(m.gateway for m in self.members))
        return PortPlan(port=self.port, gateways=gateways, chains=tuple(self.chains)) if self.chains else None


def _feed(member: _Member) -> Feed:
    return Feed(member.gateway, member.listener.plan.index, member.listener.service_port)


def _whose(old: _Member, new: _Member) -> str:
    of = "" if old.gateway == new.gateway else f" of VirtualGateway {old.gateway.namespace}/{old.gateway.name}"
    return f"listener {old.listener.plan.index}{of}"


def merge_gateway(virtual_gateways: Sequence[GatewayListeners]) -> tuple[GatewayPlan, tuple[Problem, ...]]:
    """`virtual_gateways` oldest first: of two listeners that cannot share a port the older object's, then the
    first, stays.
    """
    ports: dict[int, _Port] = {}
    problems: list[Problem] = []
    for key, listeners in virtual_gateways:
        report = Reporter(key)
        for listener in listeners:
            port = ports.setdefault(listener.listening_port, _Port(listener.listening_port))
            port.admit(_Member(key, listener), report)
        problems += report.problems
    finished = [(port, plan) for _, port in sorted(ports.items()) if (plan := port.finish()) is not None]
    return (
        GatewayPlan(
            ports=tuple(plan for _, plan in finished),
            route_configs=tuple(config for port, _ in finished for config in port.route_configs),
        ),
        tuple(dict.fromkeys(problems)),
    )


def needed_secrets(plan: GatewayPlan) -> frozenset[str]:
    """Names of the Secrets, in the gateway's namespace, that its listeners use; a CA may lie in a Secret of its own
    (§3.5).
    """
    used = [chain.tls for port in plan.ports for chain in port.chains if chain.tls and chain.tls.secret_name]
    cas = {f"{tls.secret_name}-cacert" for tls in used if tls.mutual}
    return frozenset({tls.secret_name for tls in used} | cas)
