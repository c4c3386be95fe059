"""`history`: the numbered snapshots of what users had written, what one of them changed, and how two of them differ."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ctl.exits import Code, Failed
from ctl.known import check_cluster
from ctl.names import split
from ctl.output import Document, as_yaml, counted, emit, remark
from ctl.server import Answers, first, get
from ctl.table import table

Json = Mapping[str, Any]
_ALL = 1_000_000  # more than any server keeps
_SHOWN = 3  # changes in one row of the list


def list_snapshots(kind: str, name: str, cluster: str, limit: int) -> int:
    anything = bool(cluster) and not kind  # a server picks by kind only
    query = {"limit": str(_ALL if anything else limit)}
    if kind:
        query |= {"kind": kind, "cluster": cluster}
    if name:
        query["namespace"], query["name"] = split(name)
    answers = get("/history", query)
    body = first(answers)
    if anything:
        body["items"] = _of_cluster(body["items"], cluster)[:limit]
    items = body["items"]
    if not items:
        check_cluster(cluster)
        _check_object(query)
    emit(
        Document(
            "SnapshotList",
            text=lambda: _list(body) if items else "",
            items=items,
            more={"rollbacks": body["rollbacks"], "orders": body.get("orders", [])},
            names=[str(item["number"]) for item in items],
            server_version=answers.version,
            context=answers.context,
        )
    )
    if not items:
        remark("no snapshot found")
    for one in body["rollbacks"]:
        remark(f"{rollback_text(one)}; fingerpost rollback release {one['id']} ends it")
    return Code.DONE


def _of_cluster(items: list[Json], cluster: str) -> list[Json]:
    picked = [{**item, "changes": [c for c in item["changes"] if c["cluster"] == cluster]} for item in items]
    return [item for item in picked if item["changes"]]


def _check_object(query: Mapping[str, str]) -> None:
    """One that is there and was not changed of late is no mistake. Raises Failed."""
    if "name" not in query:
        return
    bodies = get("/objects", query).bodies
    if not any(body["items"] for body in bodies):
        kind, namespace = bodies[0]["kind"]["kind"], query["namespace"]
        name = f"{namespace}/{query['name']}" if namespace else query["name"]
        message = f"there is no {kind} {name}, and no snapshot that changed one"
        raise Failed(Code.FINDINGS, message, f"fingerpost get {kind.lower()} lists all there are", "NotFound")


def show(number: int) -> int:
    answers = get(f"/history/{number}")
    body = first(answers)
    return _document("Snapshot", body, answers, lambda: _one(body))


def diff(number: int, to: int | None) -> int:
    answers = get(f"/history/{number}/diff", {} if to is None else {"to": str(to)})
    body = first(answers)
    later = "now" if to is None else str(to)
    code = _document("SnapshotDiff", body, answers, lambda: "\n".join(_differences(body["changes"], number, later)))
    if not body["changes"]:
        remark(f"nothing differs between {number} and {later}")
    return code


def _document(kind: str, body: Json, answers: Answers, text: Any) -> int:
    spec = {k: v for k, v in body.items() if k not in ("replica", "version")}
    names = [object_name(c) for c in body["changes"]]
    emit(Document(kind, text=text, spec=spec, names=names, server_version=answers.version, context=answers.context))
    return Code.DONE


def _list(body: Json) -> str:
    """Snapshots, and what was rolled back and released meanwhile, in the order of time."""
    rows = [
        [str(item["number"]), item["time"], str(item["gatewaysCount"]), _short(item["changes"])]
        for item in body["items"]
    ]
    for one in body.get("orders", ()):
        count = one["gatewaysCount"]
        rows.append([one["rollback"], one["time"], "-" if count is None else str(count), one["text"]])
    rows.sort(key=lambda row: row[1], reverse=True)
    return table(("Snapshot", "Time", "Gateways", "Changes"), rows)


def _short(changes: list[Json]) -> str:
    more = len(changes) - _SHOWN
    named = ", ".join(f"{c['action']} {object_name(c)}" for c in changes[:_SHOWN])
    return f"{named}, and {more} more" if more > 0 else named


def _one(body: Json) -> str:
    lines = [f"snapshot {body['number']} of {body['time']}, at {counted(body['gatewaysCount'], 'gateway')}"]
    lines += [f"  {c['action']} {object_name(c)}" for c in body["changes"]]
    if body["gateways"]:
        more = body["gatewaysCount"] - len(body["gateways"])
        lines.append("gateways: " + ", ".join(body["gateways"]) + (f" and {more} more" if more > 0 else ""))
    return "\n".join(lines)


def _differences(changes: Iterable[Json], number: int, later: str) -> Iterable[str]:
    for change in changes:
        name = object_name(change)
        before, after = (_lines(change[side]) for side in ("before", "after"))
        yield from difflib.unified_diff(before, after, f"{name} ({number})", f"{name} ({later})", lineterm="")


def _lines(obj: Any) -> list[str]:
    return as_yaml(obj).splitlines() if obj is not None else []


def object_name(change: Json) -> str:
    where = f"{change['namespace']}/{change['name']}" if change["namespace"] else change["name"]
    return f"{change['kind']} {where} in {change['cluster']}"


def rollback_text(one: Json, *, over: bool = False) -> str:
    scope = f"{one['scope']} {one['name']}" if one["name"] else "everything"
    by = f" by {one['by']}" if one["by"] else ""
    where = f"{'was' if over else 'is'} at snapshot {one['snapshot']}"
    return f"rollback {one['id']}: {scope} {where} since {one['since']}{by}"
