"""From a resolved destination to what an emitter needs of it: the upstream, and where its endpoints are, cluster by
cluster.

Nothing here depends on the gateway that will use the result, so that like gateways of all clusters share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fingerpost.api.internal.discovered_gateway import GatewayKind
from fingerpost.api.internal.service_facts import ServiceFactsSpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter, Severity
from mgmt.translate.ir import (
    Address,
    ClientTls,
    ClusterPart,
    Destination,
    DestinationSettings,
    Endpoints,
    LocalService,
    MeshTls,
    Upstream,
)
from mgmt.translate.routing.destination_views import ServiceView, VirtualDestinationView
from mgmt.translate.routing.eastwest import (
    EastWestGateway,
    Exposure,
    Mode,
    accepted_identities,
    mode_towards,
    remote_addresses,
    sni_of,
)
from mgmt.translate.routing.external_services import ExternalBacking, as_backing
from mgmt.translate.routing.virtual_destinations import Backing, http2_port

NO_POLICIES = DestinationSettings()
Subset = tuple[tuple[str, str], ...]


class Resolved(NamedTuple):
    """`endpoints` is None when the upstream names its addresses itself. `problems` are about the destination."""

    upstream: Upstream
    endpoints: Endpoints | None
    problems: tuple[Problem, ...] = ()


class Surroundings(NamedTuple):
    """What a VirtualDestination's endpoints depend on; every call is a read that the caller may note."""

    facts: Callable[[ObjectKey], ServiceFactsSpec | None]
    gateways: Callable[[str], Sequence[EastWestGateway]]  # of a cluster, as the owner's settings select them
    external: Callable[[ObjectKey], ExternalBacking | None]
    trust_domain: Callable[[str], str]
    holds_host: Callable[
        [str], bool
    ]  # whether the VirtualDestination has its host at the east-west gateways of a cluster


def service_upstream(
    view: ServiceView, destination: Destination, settings: DestinationSettings = NO_POLICIES
) -> Resolved:
    """A Service as seen by gateways of its own cluster, and by its east-west gateways, which must not see any other
    endpoint (§4.7).
    """
    http2 = any(p.http2 for p in view.ports if p.number == destination.port)
    if view.external_name:
        inline = (Address(host=view.external_name, port=destination.port),)
        return Resolved(Upstream(destination=destination, http2=http2, inline=inline, settings=settings), None)
    local = LocalService(namespace=view.key.namespace, name=view.key.name, port=destination.port)
    return Resolved(
        Upstream(destination=destination, http2=http2, settings=settings),
        Endpoints(parts=(ClusterPart(cluster=view.key.cluster, local=local),)),
    )


def virtual_upstream(
    vd: VirtualDestinationView,
    destination: Destination,
    backing: Backing,
    mode: Mode,
    around: Surroundings,
    settings: DestinationSettings = NO_POLICIES,
) -> Resolved:
    report = Reporter(vd.key)
    problems: list[Problem] = []
    parts: list[ClusterPart] = []
    identities: dict[ObjectKey, tuple[str, ...]] = {}
    gateways: list[EastWestGateway] = []
    for backer in backing.services:
        port = backer.port(destination.port)
        if port is None:
            continue
        key, facts = backer.key, around.facts(backer.key)
        local = LocalService(namespace=key.namespace, name=key.name, port=port)
        own_gateways = around.gateways(key.cluster)
        remote: tuple[Address, ...] = ()
        if not around.holds_host(key.cluster):
            report.warn(
                "spec.hosts",
                "HostInUseAtGateway",
                f"cluster {key.cluster} adds no endpoints for other clusters: its east-west gateway serves host "
                f"{destination.host} "
                "for an older object; choose another host",
            )
        elif has_ready(facts, port, destination.subset) and not own_gateways:
            # Alone in its cluster a destination may be meant for that cluster only.
            report.add(
                Severity.WARNING if len(backing.services) > 1 else Severity.INFO,
                "spec.services",
                "NoEastWestGateway",
                f"cluster {key.cluster} has no east-west gateway, so gateways of other clusters cannot reach its "
                "endpoints",
            )
        elif has_ready(facts, port, destination.subset):
            remote, found = remote_addresses(vd.key, key.cluster, own_gateways, mode)
            problems.extend(found)
        parts.append(ClusterPart(cluster=key.cluster, local=local, remote=remote))
        identities[key] = facts.service_accounts if facts else ()
        gateways.extend(own_gateways)
    external, tls = _externals(backing, destination, around)
    return Resolved(
        Upstream(
            destination=destination,
            http2=http2_port(vd, destination.port),
            mesh=MeshTls(
                sni=sni_of(destination.port, destination.subset_name, destination.host),
                identities=accepted_identities(identities, gateways, mode, around.trust_domain),
            ),
            tls=tls,
            settings=settings,
        ),
        Endpoints(parts=tuple(parts), external=external),
        tuple(report.problems) + tuple(problems),
    )


def _externals(
    backing: Backing, destination: Destination, around: Surroundings
) -> tuple[tuple[Address, ...], tuple[tuple[str, ClientTls], ...]]:
    """None with a subset: only Kubernetes endpoints have labels to narrow by."""
    addresses: list[Address] = []
    tls: list[tuple[str, ClientTls]] = []
    for backer in () if destination.subset else backing.externals:
        port, found = backer.port(destination.port), around.external(backer.key)
        if port is not None and found is not None:
            more, modes = as_backing(found, port)
            addresses.extend(more)
            tls.extend(modes)
    return tuple(addresses), tuple(sorted(tls, key=lambda m: m[0]))


def has_ready(facts: ServiceFactsSpec | None, port: int, subset: Subset = ()) -> bool:
    """At least one ready pod on the port (D-38), with the labels of the subset (D-42)."""
    if facts is None or port not in facts.ready_ports:
        return False
    return not subset or any(all(labels.get(k) == v for k, v in subset) for labels in facts.labels)


def exposures(
    vd: VirtualDestinationView,
    backing: Backing,
    cluster: str,
    cluster_domain: str,
    mode: Mode,
    facts: Callable[[ObjectKey], ServiceFactsSpec | None],
    subsets: Iterable[Subset] = (),
) -> tuple[Exposure, ...]:
    """What the plain Envoy east-west gateways of `cluster` have to let in for the VirtualDestination; nothing without
    a ready pod (D-26).
    """
    if mode_towards(mode, GatewayKind.ENVOY) is not Mode.TLS_TERMINATION:
        return ()
    found: list[Exposure] = []
    for backer in backing.services:
        if backer.key.cluster != cluster:
            continue
        ready = facts(backer.key)
        service_host = f"{backer.key.name}.{backer.key.namespace}.svc.{cluster_domain}"
        found.extend(
            Exposure(
                owner=vd.key,
                created=vd.created,
                host=host,
                port=number,
                local=Destination(object=backer.key, host=service_host, port=port, subset=subset),
            )
            for number, port in backer.ports
            for subset in sorted({(), *subsets})
            if has_ready(ready, port, subset)
            for host in vd.hosts
        )
    return tuple(found)
