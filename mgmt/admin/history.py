"""The history and rollbacks over the admin API: parses, asks, puts the answer into JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from fingerpost.objects import ObjectKey
from mgmt.admin.answers import Refused
from mgmt.admin.objects import Wanted
from mgmt.admin.ports import Plane
from mgmt.admin.times import rfc3339
from mgmt.history.preview import GatewayChange
from mgmt.history.rollbacks import NotPossible, ObjectChange, Rollbacks
from mgmt.pins.rollback import Order, Reach, Rollback, Scope
from mgmt.store.errors import StoreError

_STATUS = {"NotLeading": 409, "NoRollback": 404, "AmbiguousRollback": 409}
_NAMED = 200  # contributions and objects of one gateway in an answer


class _Order(msgspec.Struct, frozen=True, rename="camel"):
    snapshot: int
    workspace: str = ""
    cluster: str = ""
    dry_run: bool = False
    by: str = ""


def _rollbacks(plane: Plane) -> Rollbacks:
    if plane.rollbacks is None:
        raise Refused(404, "NoHistory", "this server keeps no history")
    return plane.rollbacks


def _refused(reason: NotPossible | StoreError) -> Refused:
    if isinstance(reason, StoreError):
        return Refused(503, "StoreUnavailable", f"the history is in Redis: {reason}")
    return Refused(_STATUS.get(reason.code, 404), reason.code, str(reason))


def _who(plane: Plane) -> dict[str, Any]:
    return {"replica": plane.replica, "version": plane.version}


async def history(plane: Plane, limit: int, what: Wanted | None) -> dict[str, Any]:
    """The newest `limit` snapshots, or those that changed one object (`what`), newest first."""
    rollbacks = _rollbacks(plane)
    try:
        known = await rollbacks.range()
        newest = known.numbers[::-1] if what is not None else known.numbers[: -limit - 1 : -1]
        logs = await rollbacks.logs(newest)
        orders = await rollbacks.orders() if what is None and limit else []
    except (NotPossible, StoreError) as e:
        raise _refused(e) from e
    items = [_snapshot(n, logs[n], what) for n in newest if n in logs]
    shown = [item for item in items if what is None or item["changes"]][:limit]
    oldest = known.floor or (known.numbers[0] if known.numbers else 0)
    active = [active_json(one) | _deleted(plane, one) for one in rollbacks.active]
    since = min((logs[n]["at"] for n in newest if n in logs), default=0) if len(newest) < len(known.numbers) else 0
    told = [_order(one) for one in orders if one.at >= since]
    about = {"items": shown, "total": len(known.numbers), "oldest": oldest, "rollbacks": active, "orders": told}
    return _who(plane) | about


async def snapshot(plane: Plane, number: int) -> dict[str, Any]:
    rollbacks = _rollbacks(plane)
    try:
        await rollbacks.check(number)
        log = (await rollbacks.logs([number])).get(number)
    except (NotPossible, StoreError) as e:
        raise _refused(e) from e
    if log is None:
        raise Refused(404, "UnknownSnapshot", f"no snapshot has the number {number}; fingerpost history lists them")
    return _who(plane) | _snapshot(number, log, None)


async def difference(plane: Plane, number: int, to: int | None) -> dict[str, Any]:
    try:
        changes = await _rollbacks(plane).changes(number, to)
    except (NotPossible, StoreError) as e:
        raise _refused(e) from e
    return _who(plane) | {"from": number, "to": to, "changes": [_change(c, bodies=True) for c in changes]}


async def rollback(plane: Plane, raw: Mapping[str, Any]) -> dict[str, Any]:
    try:
        order = msgspec.convert(raw, _Order)
    except msgspec.ValidationError as e:
        raise Refused(400, "BadOrder", f"the order is not understood: {e}") from e
    if order.workspace and order.cluster:
        raise Refused(400, "BadScope", "give workspace or cluster, not both")
    scope = Scope(Reach.ALL)
    if order.workspace:
        scope = Scope(Reach.WORKSPACE, order.workspace)
    elif order.cluster:
        scope = Scope(Reach.CLUSTER, order.cluster)
    try:
        begun = await _rollbacks(plane).begin(order.snapshot, scope, order.by, dry=order.dry_run)
    except (NotPossible, StoreError) as e:
        raise _refused(e) from e
    return _who(plane) | {
        "dryRun": order.dry_run,
        "rollback": active_json(begun.rollback),
        "objects": [_change(c, bodies=False) for c in begun.objects],
        "gateways": [_gateway(plane, g) for g in begun.gateways],
        "superseded": list(begun.superseded),
        "configVersion": plane.publisher.config_version,
    }


async def release(plane: Plane, raw: Mapping[str, Any]) -> dict[str, Any]:
    id_, by = raw.get("id", ""), raw.get("by", "")
    if not (isinstance(id_, str) and isinstance(by, str)):
        message = "id must be a text, that of a rollback, and by one, who asks; without id all are released"
        raise Refused(400, "BadOrder", message)
    try:
        ended = await _rollbacks(plane).release(id_, by)
    except (NotPossible, StoreError) as e:
        raise _refused(e) from e
    return _who(plane) | {
        "released": [active_json(one) for one in ended],
        "configVersion": plane.publisher.config_version,
    }


def _snapshot(number: int, log: Mapping[str, Any], what: Wanted | None) -> dict[str, Any]:
    changes = [_logged(c) for c in log["changes"] if what is None or _is(what, ObjectKey(*c[:4]))]
    return {
        "number": number,
        "time": rfc3339(log["at"]),
        "changes": changes,
        "gateways": log["gateways"],
        "gatewaysCount": log["gatewaysCount"],
    }


def _is(what: Wanted, key: ObjectKey) -> bool:
    given = ((what.cluster, key.cluster), (what.namespace, key.namespace), (what.name, key.name))
    return key.type == what.kind.type and all(wanted in ("", found) for wanted, found in given)


def _logged(change: list[str]) -> dict[str, Any]:
    return _named(ObjectKey(*change[:4])) | {"action": change[4]}


def _named(key: ObjectKey) -> dict[str, Any]:
    return {"type": key.type, "kind": key.kind, "cluster": key.cluster, "namespace": key.namespace, "name": key.name}


def _change(change: ObjectChange, *, bodies: bool) -> dict[str, Any]:
    found = _named(change.key) | {"action": change.action}
    if bodies:
        found |= {"before": _parsed(change.before), "after": _parsed(change.after)}
    return found


def _parsed(body: bytes | None) -> Any:
    if body is None:
        return None
    try:
        return msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return body.decode("utf-8", "replace")


def _gateway(plane: Plane, change: GatewayChange) -> dict[str, Any]:
    return {
        "gateway": "/".join(change.gateway),
        "added": _listed(change.added),
        "changed": _listed(change.changed),
        "removed": _listed(change.removed),
        "guarded": plane.publisher.would_hold(change.lost, change.total),
    }


def _listed(contributions: Iterable[str]) -> list[str]:
    return sorted(contributions)[:_NAMED]


def _order(one: Order) -> dict[str, Any]:
    return {
        "action": "released" if one.released else "rolledBack",
        "rollback": one.rollback,
        "snapshot": one.snapshot,
        "scope": one.scope.reach.value,
        "name": one.scope.name,
        "time": rfc3339(one.at),
        "by": one.by,
        "successor": one.successor,
        "gatewaysCount": one.gateways,
        "text": str(one),
    }


def active_json(one: Rollback) -> dict[str, Any]:
    return {
        "id": one.name,
        "snapshot": one.snapshot,
        "scope": one.scope.reach.value,
        "name": one.scope.name,
        "since": rfc3339(one.at_unix_nanos),
        "by": one.by,
    }


def _deleted(plane: Plane, one: Rollback) -> dict[str, Any]:
    """What is gone since then and in force all the same; the first of them are named. It looks at every object."""
    deleted = revived(plane, one)
    return {"deleted": [_named(key) for key in deleted[:_NAMED]], "deletedCount": len(deleted)}


def revived(plane: Plane, one: Rollback) -> list[ObjectKey]:
    return plane.outputs.revived(one) if plane.outputs else []


def revived_of(plane: Plane, what: Wanted) -> list[dict[str, Any]]:
    """Objects of this name that are no more, with the rollback that keeps each in force."""
    active = plane.rollbacks.active if plane.rollbacks else ()
    return [
        _named(key) | {"rollback": one.name, "snapshot": one.snapshot}
        for one in active
        for key in revived(plane, one)
        if _is(what, key)
    ]
