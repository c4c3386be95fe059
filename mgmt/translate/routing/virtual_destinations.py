"""VirtualDestination: which Services and ExternalServices stand behind the name (destinations.md §5.2), and who may
have the name (§5.3).

Readiness and gateways play no part here: a Service without ready pods stays selected (D-82).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from fingerpost.api.common import ObjectSelector, PortSelector
from fingerpost.api.networking.virtual_destination import PortMapping
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter
from mgmt.translate.ir import Value
from mgmt.translate.routing.destination_views import (
    HTTP2_PROTOCOLS,
    ExternalServiceView,
    NamedPort,
    ServiceView,
    VirtualDestinationView,
    describe_port,
    select_port,
)
from mgmt.translate.workspace.selectors import selector_matches
from mgmt.translate.workspace.seniority import seniority

Owner = Callable[[ObjectKey], str | None]  # the workspace of an object


class Backer(Value, frozen=True):
    """A selected object. `ports` maps ports of the VirtualDestination to its own; a port that it lacks is not in it."""

    key: ObjectKey
    ports: tuple[tuple[int, int], ...]

    def port(self, number: int) -> int | None:
        return next((own for wanted, own in self.ports if wanted == number), None)


class Backing(Value, frozen=True):
    """`services` holds at most one Service per cluster, sorted by cluster."""

    services: tuple[Backer, ...] = ()
    externals: tuple[Backer, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def selected(self) -> int:
        """status.numSelectedBackingServices, over all clusters (D-82)."""
        return len(self.services) + len(self.externals)


def select_backing(
    vd: VirtualDestinationView,
    services: Iterable[ServiceView],
    externals: Iterable[ExternalServiceView],
    owner: Owner,
) -> Backing:
    """`services` and `externals` are those available in the workspace of the VirtualDestination."""
    report, spec = Reporter(vd.key), vd.spec
    by_cluster: dict[str, list[ServiceView]] = defaultdict(list)
    for view in services:
        if _selected(spec.services, view, owner):
            by_cluster[view.key.cluster].append(view)
    chosen = []
    for cluster in sorted(by_cluster):
        first, *ignored = sorted(by_cluster[cluster], key=lambda v: seniority(v.created, v.key))
        if ignored:
            names = ", ".join(f"{v.key.namespace}/{v.key.name}" for v in ignored)
            report.warn(
                "spec.services",
                "SeveralServices",
                f"cluster {cluster}: several Services match, the oldest ({first.key.namespace}/{first.key.name}) is "
                "used and "
                f"{names} ignored; narrow spec.services to one Service per cluster",
            )
        chosen.append(_map_ports(spec.ports, first.key, first.named_ports, report))
    outside = [
        _map_ports(spec.ports, v.key, v.named_ports, report)
        for v in sorted(externals, key=lambda v: v.key)
        if _selected(spec.external_services, v, owner)
    ]
    backing = Backing(
        services=tuple(b for b in chosen if b.ports),
        externals=tuple(b for b in outside if b.ports),
    )
    if spec.external_workloads:
        report.warn(
            "spec.externalWorkloads", "NotImplemented", "spec.externalWorkloads is not implemented in this version"
        )
    if not backing.selected and not vd.bare:
        report.warn("spec", "NoBackingServices", "no backing services selected", located=True)
    return Backing(services=backing.services, externals=backing.externals, problems=tuple(report.problems))


def _selected(selectors: Sequence[ObjectSelector], view: ServiceView | ExternalServiceView, owner: Owner) -> bool:
    labels = dict(view.labels)
    return any(selector_matches(s, view.key, labels, owner(view.key)) for s in selectors)


def _map_ports(wanted: Sequence[PortMapping], key: ObjectKey, offered: Sequence[NamedPort], report: Reporter) -> Backer:
    ports = []
    for i, mapping in enumerate(wanted):
        target = mapping.target_port or PortSelector(number=mapping.number)
        number = select_port(target, offered)
        if number is None:
            report.warn(
                f"spec.ports[{i}].targetPort",
                "PortNotFound",
                f"{key} has no port {describe_port(target)} for port {mapping.number} and adds no endpoints to it; "
                "set targetPort to a port that it has",
            )
        else:
            ports.append((mapping.number, number))
    return Backer(key=key, ports=tuple(ports))


def http2_port(vd: VirtualDestinationView, number: int) -> bool:
    return any(p.number == number and p.protocol.upper() in HTTP2_PROTOCOLS for p in vd.spec.ports)


class HostClaim(NamedTuple):
    """An object of the workspace, or imported there, that wants a host."""

    host: str
    key: ObjectKey
    created: str


class HostClaims(NamedTuple):
    """`lost` names for every claim that failed who holds the host."""

    holders: Mapping[str, ObjectKey]
    lost: Mapping[HostClaim, ObjectKey]


def host_claims(view: VirtualDestinationView | ExternalServiceView) -> tuple[HostClaim, ...]:
    return tuple(HostClaim(host, view.key, view.created) for host in view.hosts)


def claim_hosts(claims: Iterable[HostClaim]) -> HostClaims:
    """The oldest object has the host (D-43). All claims are of one workspace, or of one east-west gateway."""
    holders: dict[str, ObjectKey] = {}
    lost: dict[HostClaim, ObjectKey] = {}
    for claim in sorted(claims, key=lambda c: (seniority(c.created, c.key), c.host)):
        holder = holders.setdefault(claim.host, claim.key)
        if holder != claim.key:
            lost[claim] = holder
    return HostClaims(holders, lost)


def clash_problem(claim: HostClaim, holder: ObjectKey) -> Problem:
    """INVALID for the workspace in which the claim was lost (§5.3)."""
    report = Reporter(claim.key)
    report.invalid(
        "spec.hosts",
        "HostInUse",
        f"host {claim.host} already used by {holder.kind} {holder.name}.{holder.namespace}.{holder.cluster}",
        located=True,
    )
    return report.problems[0]


def service_name_problems(vd: VirtualDestinationView, cluster_domains: Iterable[str]) -> tuple[Problem, ...]:
    """WARNING for a host that reads like the name of a Kubernetes Service."""
    report = Reporter(vd.key)
    suffixes = tuple(sorted(f".svc.{domain}" for domain in set(cluster_domains)))
    for i, host in enumerate(vd.spec.hosts):
        if host.lower().endswith(suffixes):
            report.warn(
                f"spec.hosts[{i}]",
                "ServiceName",
                f"host {host} is the name of a Kubernetes Service, whose own endpoints may be used instead; choose "
                "another name",
            )
    return tuple(report.problems)
