"""`/trace`: the way of the last change of an object, as far as this replica knows it; other replicas know the rest."""

from __future__ import annotations

from typing import Any

from fingerpost.objects import ObjectKey
from fingerpost.tracing import trace_of
from mgmt.admin.held_back import HeldBack
from mgmt.admin.objects import Wanted, matching
from mgmt.admin.ports import Plane
from mgmt.admin.reach import SERVED, Reach
from mgmt.admin.times import rfc3339
from mgmt.changes.passage import Passage
from mgmt.translate.scopes import GatewayKey

_LISTED = 1000


def way(plane: Plane, what: Wanted) -> list[dict[str, Any]]:
    """One item per object of this name. An object that has gone is found too, as long as it is remembered."""
    keys = {key for key, _ in matching(plane, what)}
    if what.name:
        clusters = {what.cluster} if what.cluster else {plane.management, *plane.ingest.states.clusters}
        gone = (ObjectKey(what.kind.type, cluster, what.namespace, what.name) for cluster in clusters)
        keys |= {key for key in gone if plane.journal.last(key) is not None}
    reach = Reach(plane)
    held = HeldBack(plane, reach)
    return [_way(plane, reach, held, key) for key in sorted(keys)[:_LISTED]]


def turn(plane: Plane, seq: int) -> dict[str, Any] | None:
    """What led to a config_version; None when that is forgotten, or was before this process began."""
    passages = plane.journal.at(seq)
    if not passages:
        return None
    reach = Reach(plane)
    held = HeldBack(plane, reach)
    keys = dict.fromkeys(change.key for passage in passages for change in passage.came)
    changes = [_of(plane, reach, held, key, p) for p in passages for key in keys if any(c.key == key for c in p.came)]
    return {"configVersion": seq, "changes": changes[:_LISTED], "more": max(0, len(changes) - _LISTED)}


def _way(plane: Plane, reach: Reach, held: HeldBack, key: ObjectKey) -> dict[str, Any]:
    passage = plane.journal.last(key)
    if passage is None:
        about = {"known": False, "configVersion": plane.changed_at(key), "stages": {}, "clusters": []}
        return _named(key) | about
    return _of(plane, reach, held, key, passage)


def _named(key: ObjectKey) -> dict[str, Any]:
    return {"kind": key.kind, "cluster": key.cluster, "namespace": key.namespace, "name": key.name}


def _of(plane: Plane, reach: Reach, held: HeldBack, key: ObjectKey, passage: Passage) -> dict[str, Any]:
    came = passage.of(key)
    stages = {
        "seen": came.seen,
        "pushed": 0 if came.elsewhere or came.key.cluster == plane.management else came.received,
        "translated": passage.translated,
        "stored": passage.stored,
        "published": passage.published,
    }
    return _named(key) | {
        "known": True,
        "configVersion": passage.seq,
        "trace": trace_of(passage.traceparent or came.traceparent),
        "elsewhere": came.elsewhere,
        "together": len(passage.came) - 1,
        "stages": {stage: rfc3339(at, "microseconds") for stage, at in stages.items() if at},
        "clusters": _clusters(plane, reach, held, key, passage),
    }


def _clusters(plane: Plane, reach: Reach, held: HeldBack, key: ObjectKey, passage: Passage) -> list[dict[str, Any]]:
    """Gateways that were told in this turn; of a turn with several changes those that serve the object. Also those to
    which a rollback lets it come later, or not yet.
    """
    told = {g: at for g, at in passage.gateways.items() if not held.all_along(key, g[0], passage.seq)}
    if len(passage.came) > 1 and key.type in SERVED and (serving := reach.gateways(key)):
        told = {gateway: at for gateway, at in told.items() if gateway in serving}
    found = {gateway: _gateway(plane, key, passage.seq, gateway, at) for gateway, at in told.items()}
    for gateway, (release, by) in held.until_then(key, passage).items():
        at = release.gateways[gateway]
        found[gateway] = _gateway(plane, key, release.seq, gateway, at) | {"releasedFrom": by.name}
    for gateway, reason in held.back(key).items():
        known = found.get(gateway) or {"name": gateway[1], "applied": ""}
        found[gateway] = known | {"reason": reason}
    out: dict[str, list[dict[str, Any]]] = {}
    for gateway, shown in sorted(found.items()):
        out.setdefault(gateway[0], []).append(shown)
    return [
        {
            "name": name,
            "connectedHere": plane.ingest.owns(name),
            "applied": max((g["applied"] for g in gateways), default="")
            if all(g["applied"] and not g["reason"] for g in gateways)
            else "",
            "gateways": gateways,
        }
        for name, gateways in out.items()
    ]


def _gateway(plane: Plane, key: ObjectKey, seq: int, gateway: GatewayKey, at: int) -> dict[str, Any]:
    """`reason`: why it has not the change, also where it has acknowledged everything else of that turn."""
    online = (gateway[0],) if plane.ingest.owns(gateway[0]) else ()
    view = plane.publisher.arrivals.of(key.contribution, seq, (gateway,), online)
    reason = view.missing[0].reason if view.missing else ""
    return {"name": gateway[1], "applied": rfc3339(at, "microseconds"), "reason": reason}
