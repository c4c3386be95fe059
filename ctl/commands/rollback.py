"""`rollback`: gateways get what an older snapshot gives, until it is released. Edits made meanwhile are kept back."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ctl.commands.history import object_name, rollback_text
from ctl.exits import Code, usage
from ctl.flags import current
from ctl.output import Document, counted, emit
from ctl.server import first, get, post
from ctl.table import table

Json = Mapping[str, Any]
_MOST = 20
# What happens to an object's version of now.
_WORDS = {"added": "comes back", "changed": "goes back", "removed": "goes out of force"}


def rollback(number: int, workspace: str, cluster: str, dry_run: bool) -> int:
    if workspace and cluster:
        raise usage("--workspace and --cluster exclude each other", "give one of them, or none for everything")
    order = {"snapshot": number, "workspace": workspace, "cluster": cluster, "dryRun": dry_run, "by": _user()}
    answers = post("/rollback", order)
    body = first(answers)
    spec = {k: v for k, v in body.items() if k not in ("replica", "version")}
    emit(
        Document(
            "Rollback",
            text=lambda: _begun(body) if not current().quiet else _headline(body),
            spec=spec,
            names=[body["rollback"]["id"]],
            server_version=answers.version,
            context=answers.context,
        )
    )
    return Code.DONE


def release(id_: str) -> int:
    answers = post("/rollback/release", {"id": id_, "by": _user()})
    released = first(answers)["released"]
    emit(
        Document(
            "RollbackRelease",
            text=lambda: "\n".join(_released(one) for one in released),
            items=released,
            names=[one["id"] for one in released],
            server_version=answers.version,
            context=answers.context,
        )
    )
    return Code.DONE


def status() -> int:
    answers = get("/history", {"limit": "0"})
    active = first(answers)["rollbacks"]
    columns = ("Rollback", "Scope", "Snapshot", "Since", "By")
    rows = [[o["id"], f"{o['scope']} {o['name']}".strip(), str(o["snapshot"]), o["since"], o["by"]] for o in active]
    emit(
        Document(
            "RollbackList",
            text=lambda: "\n".join((table(columns, rows), *_revived(active))) if rows else "nothing is rolled back",
            items=active,
            names=[one["id"] for one in active],
            server_version=answers.version,
            context=answers.context,
        )
    )
    return Code.DONE


def _revived(active: Sequence[Json]) -> Iterator[str]:
    for one in active:
        named = ", ".join(object_name(deleted) for deleted in one["deleted"][:_MOST])
        more = one["deletedCount"] - len(one["deleted"][:_MOST])
        if named:
            yield f"in force by {one['id']} although deleted since: {named}{f' and {more} more' if more else ''}"


def _released(one: Json) -> str:
    return f"released {rollback_text(one, over=True)}; what was written since is in force again"


def _headline(body: Json) -> str:
    one = body["rollback"]
    scope = f"{one['scope']} {one['name']}" if one["name"] else "everything"
    if body["dryRun"]:
        return f"would roll {scope} back to snapshot {one['snapshot']}"
    return f"rolled {scope} back to snapshot {one['snapshot']} (rollback {one['id']})"


def _begun(body: Json) -> str:
    one, would = body["rollback"], body["dryRun"]
    lines = [_headline(body)]
    objects = [f"{object_name(o)} {_WORDS[o['action']]}" for o in body["objects"]]
    lines += [f"  {line}" for line in _first(objects)]
    lines.append(f"{counted(len(body['gateways']), 'gateway')} {'would change' if would else 'changed'}")
    lines += [f"  {line}" for line in _first([_gateway(g) for g in body["gateways"]])]
    for id_ in body["superseded"]:
        lines.append(f"{'would end' if would else 'ended'} rollback {id_}")
    if not would:
        lines.append(f"edits made from now on wait for: fingerpost rollback release {one['id']}")
    return "\n".join(lines)


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - _MOST
    return [*lines[:_MOST], f"... and {more} more; -o json shows all"] if more > 0 else lines


def _gateway(gateway: Json) -> str:
    parts = [
        f"{counted(len(gateway[what]), 'object')} {what}" for what in ("added", "changed", "removed") if gateway[what]
    ]
    held = "; a loss this large is held until the clusters concerned were listed anew" if gateway["guarded"] else ""
    return f"{gateway['gateway']}: {', '.join(parts)}{held}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a passwd entry
        return ""
