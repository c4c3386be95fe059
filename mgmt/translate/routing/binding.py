"""Which root RouteTables bind to which listeners of a VirtualGateway, and for which hosts (routing.md §3.6).

Whether the table is available in the gateway's workspace is decided elsewhere and comes in as a bool.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fingerpost.api.common import ObjectReference
from fingerpost.api.networking.virtual_gateway import Listener, RouteTableFilter
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter
from fingerpost.shared import shared
from mgmt.translate.ir import Value
from mgmt.translate.routing.hosts import covers
from mgmt.translate.routing.listeners import split_host
from mgmt.translate.workspace.selectors import selector_matches

_VIRTUAL_GATEWAY = "networking.gloo.solo.io/VirtualGateway"
_ANY = (RouteTableFilter(host="*"),)


class Binding(Value, frozen=True):
    """A table on one listener (by its index in the VirtualGateway), with the hosts it serves there, in the table's
    order.
    """

    listener: int
    hosts: tuple[str, ...]


class TableView(Value, frozen=True):
    """What binding needs to know of a root table. `hosts` are normalized; `http`: the table has http routes."""

    key: ObjectKey
    hosts: tuple[str, ...]
    labels: Mapping[str, str] = {}
    workspace: str = ""
    http: bool = True


def referenced_gateways(table: ObjectKey, references: Sequence[ObjectReference]) -> tuple[ObjectKey, ...]:
    """Keys of the VirtualGateways that a table names; an omitted cluster is the table's own, no other is searched
    (R-50).
    """
    keys = (
        ObjectKey(_VIRTUAL_GATEWAY, ref.cluster or table.cluster, ref.namespace or table.namespace, ref.name)
        for ref in references
    )
    return shared(tuple(dict.fromkeys(keys)))  # most tables name the same


def intersect(a: str, b: str) -> str | None:
    """The narrower of two hosts where one contains the other, else None."""
    a, b = a.lower(), b.lower()
    if a in (b, "*"):
        return b
    if b == "*" or covers(b, a):
        return a
    return b if covers(a, b) else None


def _accepts(entry: RouteTableFilter, table: TableView, vg: ObjectKey) -> bool:
    namespace = split_host(entry.host)[0]
    if namespace == ".":
        namespace = vg.namespace
    if namespace not in ("*", table.key.namespace):
        return False
    # Absent and empty both accept every available table; the published examples rely on it.
    return entry.selector is None or selector_matches(entry.selector, table.key, table.labels, table.workspace)


def _name(vg: ObjectKey) -> str:
    return f"VirtualGateway {vg.namespace}/{vg.name}"


def unreachable(report: Reporter, path: str, vg: ObjectKey, workspace: str, *, own_namespace: bool) -> None:
    """For a gateway that is missing, or that does not import the table: one text for both, so that a tenant cannot
    probe.

    Only in a namespace of the table's own workspace is it said that nothing of that name exists (§4.3, W-46).
    """
    if own_namespace:
        report.invalid(path, "RefNotFound", f"{_name(vg)} in cluster {vg.cluster} not found")
    else:
        report.invalid(path, "NotReachable", f"{_name(vg)} is not reachable from workspace {workspace}")


def bind(
    table: TableView,
    vg: ObjectKey,
    listeners: Mapping[int, Listener],
    *,
    available: bool,
    path: str = "spec.virtualGateways",
) -> tuple[tuple[Binding, ...], tuple[Problem, ...]]:
    """`listeners`: those that can work (`compile_listeners`), by index. `available`: the table is in the gateway's
    workspace.

    A host that no listener allows is a WARNING as long as another host is served (R-26), else the table is INVALID.
    """
    report = Reporter(table.key)
    if not available:
        unreachable(report, path, vg, table.workspace, own_namespace=False)
        return (), tuple(report.problems)
    if not table.http:
        return (), ()
    if not listeners:
        report.warn(path, "NoListener", f"{_name(vg)} has no http listener that works: the table is not served there")
        return (), tuple(report.problems)
    bindings = []
    accepted = False
    for index, listener in sorted(listeners.items()):
        entries = [e for e in listener.allowed_route_tables or _ANY if _accepts(e, table, vg)]
        accepted = accepted or bool(entries)
        allowed = [split_host(entry.host)[1] for entry in entries]
        found = [host for own in table.hosts for other in allowed if (host := intersect(own, other)) is not None]
        if found:
            bindings.append(Binding(listener=index, hosts=tuple(dict.fromkeys(found))))
    if not bindings:
        what = (
            "hosts of this table"
            if accepted
            else "table: its namespace, labels and workspace fit no allowedRouteTables"
        )
        message = f"{_name(vg)} allows {'none of the' if accepted else 'no such'} {what}"
        report.invalid(path, "NotAllowed", f"{message}, so it is not served there")
        return (), tuple(report.problems)
    served = [host for binding in bindings for host in binding.hosts]
    for host in table.hosts:
        if not any(intersect(host, got) for got in served):
            message = f"host {host} is not served by {_name(vg)}: none of its listeners allows it"
            report.warn("spec.hosts", "HostNotAllowed", message, located=True)
    return tuple(bindings), tuple(report.problems)
