"""What each user's object selected and where it is served (routing.md §15.2): what `describe` and `/reports` show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fingerpost.objects import ObjectKey
from mgmt.admin.objects import problems_json
from mgmt.admin.ports import Plane
from mgmt.admin.reach import SERVED, Reach, arrival_json
from mgmt.translate.graph.inputs import ROUTE_TABLE, VIRTUAL_GATEWAY
from mgmt.translate.routing.destination_views import VIRTUAL_DESTINATION
from mgmt.translate.status import Status
from mgmt.translate.translator import gateway_key


def reports_json(plane: Plane, reach: Reach, keys: Iterable[ObjectKey] | None = None) -> list[dict[str, Any]]:
    """All objects that have a status, or just `keys`; sorted, so that two answers can be compared."""
    wanted = None if keys is None else frozenset(keys)
    found = [(key, status) for key, status in plane.translator.all_statuses() if wanted is None or key in wanted]
    return [report(plane, reach, key, status) for key, status in sorted(found, key=lambda item: item[0])]


def report(plane: Plane, reach: Reach, key: ObjectKey, status: Status | None) -> dict[str, Any]:
    out: dict[str, Any] = {
        "kind": key.kind,
        "type": key.type,
        "cluster": key.cluster,
        "namespace": key.namespace,
        "name": key.name,
    }
    if status is not None:
        out["workspaces"] = (
            {status.workspace: {"clusters": {key.cluster: {"approval": status.approval.value}}}}
            if status.workspace
            else {}
        )
        out["ownerWorkspace"] = status.workspace
        out["problems"] = problems_json(status.problems)
    if key.type in SERVED:
        view = reach.arrival(key)
        out["gateways"] = sorted("/".join(g) for g in reach.gateways(key))
        out["arrival"] = arrival_json(view, plane.changed_at(key))
    return out | _selected(plane, key)


def _selected(plane: Plane, key: ObjectKey) -> dict[str, Any]:
    translator, context = plane.translator, plane.translator.peek()
    if key.type == ROUTE_TABLE:
        bound = context.by(translator.tables.bound_by_table, key)
        contributions = context.by(translator.tables.contributions_by_table, key).values()
        objects = [made for _, made in translator.istio.routes.former(key)]
        used = frozenset().union(*(c.uses for c in contributions), *(o.uses for o in objects))
        return {
            "allowedVirtualGateways": _refs(gateway for (_, gateway), b in bound.items() if b.bindings),
            "destinations": sorted(
                {f"{d.object.kind} {d.object.cluster}/{d.object.namespace}/{d.object.name}:{d.port}" for d in used}
            ),
        }
    if key.type == VIRTUAL_GATEWAY:
        selection = context.get(translator.gateways.selections, key)
        return {
            "allowedRouteTables": _refs(t for t, _ in context.by(translator.tables.bound_by_gateway, key)),
            "selectedWorkloads": sorted("/".join(gateway_key(g.key)) for g in selection.selected) if selection else [],
        }
    if key.type == VIRTUAL_DESTINATION:
        backing = translator.destinations.backing.items.get(key)
        return {"backingServices": _refs(b.key for b in backing.services) if backing else []}
    return {}


def _refs(keys: Iterable[ObjectKey]) -> list[str]:
    return sorted(f"{key.cluster}/{key.namespace}/{key.name}" for key in set(keys))
