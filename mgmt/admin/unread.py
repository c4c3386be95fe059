"""What is in force from an older version of its file: the newest is written, and could not be taken.

The translator never hears of such a version, so the status of the object says that all is well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fingerpost.api.common import ApprovalState
from fingerpost.cluster.directory.manifest import DUPLICATE
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Severity
from mgmt.admin.ports import Plane

_OLDER = "an older version is in force, since what is written cannot be used: "


def unread(plane: Plane, key: ObjectKey) -> Problem | None:
    """Only of the management cluster's own folder: agents tell the server no findings."""
    found = next((one for one in plane.ingest.findings if key in one.keeps), None)
    if found is None:
        return None
    older = "" if found.code == DUPLICATE else _OLDER
    return Problem(ref=key, severity=Severity.WARNING, code=found.code, message=older + found.message)


def is_older(problem: Problem) -> bool:
    """Not so of an object that is in two files: the first of them is in force as it is written."""
    return problem.code != DUPLICATE


def noted(status: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    """A status as `get` shows it, with the warning."""
    common = dict(status.get("common") or {})
    state = dict(common.get("State") or {})
    state["message"] = "; ".join(text for text in (problem.message, state.get("message")) if text)
    if state.get("approval") == ApprovalState.ACCEPTED:
        state["approval"] = ApprovalState.WARNING.value
        if common.get("workspaceConditions"):
            common["workspaceConditions"] = {state["approval"]: 1}
    return {**status, "common": common | {"State": state}}
