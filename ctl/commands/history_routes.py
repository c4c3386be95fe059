"""`history diff --routes`: what two snapshots differ in, by request, route and emitted resource.

Snapshots hold what users had written; services, endpoints and gateways are those of now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ctl.exits import Code
from ctl.offline.asked import Asked, asked, tell
from ctl.output import remark
from ctl.server import first, get
from ctl.shown import difference as shown
from fingerpost.objects import ObjectKey, canonical
from mgmt.snapshot.diff import diff as differ

Json = Mapping[str, Any]
Objects = dict[ObjectKey, bytes | None]


def diff_routes(number: int, to: int | None) -> int:
    """From the one to the other, or to now."""
    there = asked("", "", "")
    since = _changes(number, None)
    there.outcome.change(_side(since, "before", there).items())
    wanted = since if to is None else _changes(number, to)
    found = differ(there.outcome, _side(wanted, "after", there))
    tell(
        there,
        "SnapshotDiff",
        text=lambda: shown.text(found),
        spec={"from": number, "to": to, **msgspec.to_builtins(found)},
        findings=(),
        names=[f"{o.kind.lower()}/{o.namespace}/{o.name}" for o in found.objects],
    )
    return Code.DONE


def _changes(number: int, to: int | None) -> list[Json]:
    changes: list[Json] = first(get(f"/history/{number}/diff", {} if to is None else {"to": str(to)}))["changes"]
    return changes


def _side(changes: Iterable[Json], side: str, there: Asked) -> Objects:
    """Of each object what it was, or became."""
    out: Objects = {}
    for change in changes:
        key, body = ObjectKey(change["type"], change["cluster"], change["namespace"], change["name"]), change[side]
        if isinstance(body, str):
            remark(f"left out, since it cannot be read: {key}")
        elif body is not None or key in there.outcome.objects:
            out[key] = None if body is None else canonical(body)
    return out
