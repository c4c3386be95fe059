"""From what routing has found of a VirtualDestination to what Istio has to be told of its hosts in one cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from fingerpost.problems import Problem
from mgmt.translate.emit.istio.destination import Labels, Local, Port, Remote, VirtualHost
from mgmt.translate.emit.istio.objects import cannot
from mgmt.translate.ir import Address, ClientTls, ClusterPart
from mgmt.translate.routing.destination_upstreams import Resolved
from mgmt.translate.routing.destination_views import VirtualDestinationView

LabelsOf = Callable[[str], Sequence[Mapping[str, str]]]  # the combinations among the ready pods of a cluster


def virtual_hosts(
    view: VirtualDestinationView,
    cluster: str,
    found: Mapping[int, Resolved],
    local: Local | None,
    audience: Iterable[str],
    subsets: Iterable[Labels],
    labels_of: LabelsOf,
    *,
    closed: Collection[str] = (),
    mutual: bool,
) -> tuple[tuple[VirtualHost, ...], tuple[Problem, ...]]:
    """`found` is by port; `closed` are clusters whose gateways let nobody in to it. All hosts have the same endpoints
    (destinations.md §5.3).
    """
    problems: list[Problem] = []
    subsets = tuple(sorted({s for s in subsets if s}))
    remote = _remotes({cluster, *closed}, found, subsets, labels_of)
    ports, external = [], []
    for mapping in view.spec.ports:
        resolved = found.get(mapping.number)
        if resolved is None:
            continue
        protocol = mapping.protocol.upper()
        addresses, tls = _externals(view, mapping.number, resolved, problems, alone=local is None and not remote)
        ports.append(
            Port(
                number=mapping.number,
                protocol=protocol,
                name=f"{protocol.lower()}-{mapping.number}",
                settings=resolved.upstream.settings,
                tls=tls,
            )
        )
        if addresses:
            external.append((mapping.number, addresses))
    identities = {i for r in found.values() if r.upstream.mesh is not None for i in r.upstream.mesh.identities}
    hosts = tuple(
        VirtualHost(
            parent=view.key,
            host=host,
            workspace=view.workspace,
            ports=tuple(ports),
            local=local,
            remote=remote,
            external=tuple(external),
            identities=tuple(sorted(identities)),
            mutual=mutual,
            subsets=subsets,
            audience=tuple(sorted(set(audience))),
        )
        for host in view.hosts
    )
    return hosts, tuple(problems)


def _remotes(
    without: Collection[str], found: Mapping[int, Resolved], subsets: Sequence[Labels], labels_of: LabelsOf
) -> tuple[Remote, ...]:
    ports: dict[tuple[str, str, str, int], list[tuple[int, int]]] = {}
    for number, resolved in sorted(found.items()):
        parts: tuple[ClusterPart, ...] = resolved.endpoints.parts if resolved.endpoints else ()
        for part in parts:
            for address in part.remote if part.cluster not in without else ():
                key = (part.cluster, address.host, address.region, address.port)
                ports.setdefault(key, []).append((number, address.port))
    keys = {k for subset in subsets for k, _ in subset}
    return tuple(
        Remote(
            cluster=other,
            address=host,
            region=region,
            ports=tuple(numbers),
            labels=_combinations(keys, labels_of(other)),
        )
        for (other, host, region, _), numbers in sorted(ports.items())
    )


def _combinations(keys: set[str], labels: Sequence[Mapping[str, str]]) -> tuple[Labels, ...]:
    found = {tuple(sorted((k, v) for k, v in one.items() if k in keys)) for one in labels}
    return tuple(sorted(found)) or ((),)


def _externals(
    view: VirtualDestinationView, number: int, resolved: Resolved, problems: list[Problem], *, alone: bool
) -> tuple[tuple[Address, ...], ClientTls | None]:
    """TLS of an endpoint of its own cannot be told apart from that of others: a DestinationRule has one for all."""
    addresses = resolved.endpoints.external if resolved.endpoints else ()
    modes = dict(resolved.upstream.tls)
    used = {address.tls_mode for address in addresses}
    if used <= {""}:
        return addresses, None
    if alone and len(used) == 1:
        return addresses, modes[used.pop()]
    message = (
        f"port {number} has external endpoints with TLS of their own beside others, which Istio cannot tell apart, so "
        "they are left out; give them a VirtualDestination of their own"
    )
    problems.append(cannot(view.key, "spec.externalServices", message))
    return tuple(address for address in addresses if not address.tls_mode), None
