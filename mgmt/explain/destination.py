"""What stands behind a destination, cluster by cluster, and which policies shape it.

Single endpoints are known only to the agents (pod addresses never leave their cluster), so this says where they are
and whether any is ready.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fingerpost.objects import ObjectKey
from mgmt.explain.answer import DestinationAnswer, EndpointsAnswer, Place, PolicyAnswer, named
from mgmt.translate import ir
from mgmt.translate.policy import DESTINATION_POLICIES
from mgmt.translate.policy.destination_policies import DestinationPolicyKind
from mgmt.translate.policy.selectors import DestinationPort, Selectable, select_ports, selectable
from mgmt.translate.routing.destination_upstreams import has_ready
from mgmt.translate.routing.destination_views import SERVICE, ExternalServiceView, VirtualDestinationView
from mgmt.translate.translator import Translator


class _Target(NamedTuple):
    """A destination of the kinds that policies select."""

    selectable: Selectable
    workspace: str


def explain_destination(translator: Translator, cluster: str, weighted: ir.WeightedDestination) -> DestinationAnswer:
    """As seen by a gateway of `cluster`."""
    destination = weighted.destination
    policies, not_applied = _policies(translator, destination)
    return DestinationAnswer(
        object=named(destination.object),
        host=destination.host,
        port=destination.port,
        subset=destination.subset,
        weight=weighted.weight,
        field=Place(object=named(weighted.source.ref), path=weighted.source.path),
        envoy_cluster=destination.cluster_name,
        endpoints=tuple(_endpoints(translator, cluster, destination)),
        policies=tuple(policies),
        not_applied=tuple(not_applied),
    )


# -------------------------------------------------------------------- endpoints


def _endpoints(translator: Translator, cluster: str, destination: ir.Destination) -> Iterable[EndpointsAnswer]:
    resolved = translator.destinations.resolve(translator.peek(), destination)
    if resolved is None:
        return
    prefer = resolved.upstream.settings.prefer_locality
    if resolved.endpoints is None:
        yield _outside(resolved.upstream.inline or (), "")
        return
    parts = sorted(resolved.endpoints.parts, key=lambda p: (p.cluster != cluster, p.cluster))
    for part in parts:
        if part.cluster == cluster:
            yield _local(translator, part, destination, prefer)
        else:
            yield _remote(translator, part, destination, prefer)
    if resolved.endpoints.external:
        yield _outside(resolved.endpoints.external, "by locality" if prefer else "priority 0")


def part_ready(translator: Translator, part: ir.ClusterPart, destination: ir.Destination) -> bool | None:
    """Whether a cluster has a ready endpoint of a destination; None: it has not said."""
    local = part.local
    if local is None:
        return None
    facts = translator.destinations.facts(translator.peek())(
        ObjectKey(SERVICE, part.cluster, local.namespace, local.name)
    )
    return None if facts is None else has_ready(facts, local.port, destination.subset)


_READY = {True: "ready endpoints", False: "no ready endpoint", None: "endpoints not reported"}


def _local(translator: Translator, part: ir.ClusterPart, destination: ir.Destination, prefer: bool) -> EndpointsAnswer:
    ready = part_ready(translator, part, destination)
    local = part.local
    service = f" of Service {local.namespace}/{local.name} port {local.port}" if local else ""
    return EndpointsAnswer(
        cluster=part.cluster,
        text=f"{_READY[ready]}{service}",
        local=True,
        ready=ready,
        order="nearest first" if prefer else "priority 0",
    )


def _remote(translator: Translator, part: ir.ClusterPart, destination: ir.Destination, prefer: bool) -> EndpointsAnswer:
    ready = part_ready(translator, part, destination)
    addresses = tuple(_address(a) for a in part.remote)
    if addresses:
        text = f"{_READY[ready]} via {', '.join(addresses)}"
    elif ready:
        text = "ready endpoints, but no east-west gateway leads to them"
    else:
        text = _READY[ready]
    order = ("when no nearer one answers" if prefer else "priority 0") if addresses else ""
    return EndpointsAnswer(cluster=part.cluster, text=text, ready=ready, order=order, addresses=addresses)


def _outside(addresses: Iterable[ir.Address], order: str) -> EndpointsAnswer:
    shown = tuple(_address(a) for a in addresses)
    text = f"outside of the clusters: {', '.join(shown)}" if shown else "no address"
    return EndpointsAnswer(cluster="", text=text, order=order if shown else "", addresses=shown)


def _address(address: ir.Address) -> str:
    if address.host.startswith("unix://"):
        return address.host
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"


# -------------------------------------------------------------------- policies


def _policies(translator: Translator, destination: ir.Destination) -> tuple[list[PolicyAnswer], list[PolicyAnswer]]:
    target = _target(translator, destination.object)
    if target is None:
        return [], []
    port = DestinationPort(destination.object, destination.port)
    settled = translator.policies.of.items.get(target.workspace)
    applied: list[PolicyAnswer] = []
    others: list[PolicyAnswer] = []
    for kind in DESTINATION_POLICIES:
        winner = settled.winners.get(kind.type, {}).get(port) if settled else None
        if winner is not None:
            applied.append(PolicyAnswer(policy=named(winner)))
        others += _not_applied(translator, kind, target, port, winner)
    return applied, others


def _target(translator: Translator, key: ObjectKey) -> _Target | None:
    service = translator.views.services.items.get(key)
    if service is not None:
        return _Target(selectable(*service), service[1] or "")
    view: VirtualDestinationView | ExternalServiceView | None
    view = translator.views.virtual.items.get(key) or translator.views.external.items.get(key)
    return _Target(selectable(view, view.workspace), view.workspace) if view else None


def _not_applied(
    translator: Translator,
    kind: DestinationPolicyKind,
    target: _Target,
    port: DestinationPort,
    winner: ObjectKey | None,
) -> Iterable[PolicyAnswer]:
    for key, decoded in sorted(translator.inputs[kind.type].items.items()):
        if key == winner:
            continue
        workspace = translator.owners.config_owner(translator.peek(), key)
        if workspace is None:
            continue
        if decoded.obj is None:
            if workspace == target.workspace:
                yield PolicyAnswer(policy=named(key), reason="not valid, its status says why")
            continue
        entries = kind.selectors(decoded.obj.spec)
        found = select_ports(entries, kind.supported, workspace, [target.selectable])
        if port in found.targets and winner is not None:
            yield PolicyAnswer(policy=named(key), reason=f"younger than {winner.namespace}/{winner.name}")
        elif found.imported:
            reason = f"the policies of workspace {target.workspace}, which owns the destination, apply"
            yield PolicyAnswer(policy=named(key), reason=reason)
