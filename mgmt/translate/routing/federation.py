"""Federation: every selected Service has a name of its own in each other cluster (destinations.md §6).

A federated Service is seen as a VirtualDestination of just that Service, with a generated host: what carries requests
to another cluster is the same. Its key is that of the Service, its workspace the one whose settings federate it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from fingerpost.api.admin.workspace_settings import Federation
from fingerpost.api.common import ObjectSelector
from fingerpost.api.networking.virtual_destination import PortMapping, VirtualDestinationSpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter, Severity
from mgmt.translate.routing.destination_views import ServiceView, VirtualDestinationView, select_port
from mgmt.translate.routing.eastwest import EastWestGateway, Mode, remote_addresses
from mgmt.translate.routing.virtual_destinations import Backer, Backing
from mgmt.translate.workspace.selectors import selector_matches

DEFAULT_SUFFIX = "global"


def federated_host(service: ObjectKey, suffix: str) -> str:
    """Without a part for the workspace: two that choose one suffix share the name (§6.2)."""
    return f"{service.name}.{service.namespace}.svc.{service.cluster}.{suffix or DEFAULT_SUFFIX}".lower()


def federate(
    service: ServiceView, owner: str | None, workspace: str, federation: Federation
) -> VirtualDestinationView | None:
    """None when the settings of `workspace`, in which the Service is available, do not select it. `ports` may be empty,
    when they expose none that it has. A Service without pods (ExternalName) has nothing to lead to.
    """
    key, selectors = service.key, federation.service_selector
    labels = dict(service.labels)
    if selectors and not any(selector_matches(s, key, labels, owner) for s in selectors):
        return None
    if service.external_name:
        return None
    exposed = {select_port(selector, service.named_ports) for selector in federation.ports}
    ports = tuple(
        PortMapping(number=p.number, protocol=p.protocol)
        for p in service.ports
        if not federation.ports or p.number in exposed
    )
    itself = ObjectSelector(name=key.name, namespace=key.namespace, cluster=key.cluster)
    return VirtualDestinationView(
        key=key,
        created=service.created,
        workspace=workspace,
        spec=VirtualDestinationSpec(
            hosts=(federated_host(key, federation.host_suffix),), services=(itself,), ports=ports
        ),
        labels=service.labels,
    )


def federated_backing(view: VirtualDestinationView) -> Backing:
    ports = tuple((port.number, port.number) for port in view.spec.ports)
    return Backing(services=(Backer(key=view.key, ports=ports),) if ports else ())


def at_home(members: Sequence[VirtualDestinationView], owner: str) -> VirtualDestinationView:
    """In the Service's own cluster a name is one object, of the Service's owner, for all workspaces that federate the
    Service under it (§6.3, D-92).
    """
    ports = {port.number: port for member in members for port in member.spec.ports}
    spec = replace(members[0].spec, ports=tuple(ports[number] for number in sorted(ports)))
    return replace(members[0], workspace=owner, spec=spec)


def reach_problems(
    settings: ObjectKey, services: dict[str, int], gateways: Iterable[EastWestGateway], mode: Mode
) -> tuple[Problem, ...]:
    """What keeps other clusters from the federated Services of a cluster. `services` are numbers by cluster; `gateways`
    are what the settings select.
    """
    report = Reporter(settings)
    problems: list[Problem] = []
    known = tuple(gateways)
    for cluster, number in sorted(services.items()):
        own = [g for g in known if g.key.cluster == cluster]
        if not own:
            report.warn(
                "spec.options.federation",
                "NoEastWestGateway",
                f"cluster {cluster} has no east-west gateway, so gateways of other clusters cannot reach its federated "
                f"Services ({number}); add one, or narrow serviceSelector",
            )
            continue
        _, found = remote_addresses(settings, cluster, own, mode)
        problems += (replace(p, path="spec.options.virtualDestClientMode") for p in found)
    return (*report.problems, *problems)


def federation_problem(settings: ObjectKey, about: Problem) -> Problem:
    """What was found about a federated Service, which has no status, said of the settings that federate it."""
    where = f"Service {about.ref.namespace}/{about.ref.name} in cluster {about.ref.cluster}"
    return Problem(
        ref=settings,
        path="spec.options.federation",
        severity=min(about.severity, Severity.WARNING),
        code=about.code,
        message=f"{where}: {about.message}",
    )
