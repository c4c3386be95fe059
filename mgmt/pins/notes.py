"""What a rollback says in the status of an object: that it is pinned, and whether its newest version is held back."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from fingerpost.api.common import ApprovalState
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Severity
from mgmt.pins.rollback import Reach, Rollback
from mgmt.translate.status import Status

ROLLED_BACK = "RolledBack"


def noted(status: Status, key: ObjectKey, body: bytes | None, over: Sequence[Rollback]) -> Status:
    """`over`: the rollbacks that cover the object, newest first. What is in force everywhere needs no WARNING."""
    said = [_note(key, body, one) for one in _decisive(over)]
    if not said:
        return status
    held = any(problem.severity is Severity.WARNING for problem in said)
    approval = ApprovalState.WARNING if held and status.approval is ApprovalState.ACCEPTED else status.approval
    message = "; ".join(text for text in (*(p.message for p in said), status.message) if text)
    return structs.replace(status, approval=approval, message=message, problems=(*status.problems, *said))


def only_held_back(status: Status) -> bool:
    """Its newest version waits for the release of a rollback, and nothing else is to be said against it."""
    wrong = [problem for problem in status.problems if problem.severity is not Severity.INFO]
    return bool(wrong) and all(problem.code == ROLLED_BACK for problem in wrong)


def _decisive(over: Sequence[Rollback]) -> list[Rollback]:
    """One that reaches every cluster hides those before it."""
    for i, one in enumerate(over):
        if one.scope.reach is not Reach.CLUSTER:
            return list(over[: i + 1])
    return list(over)


def _note(key: ObjectKey, body: bytes | None, rollback: Rollback) -> Problem:
    where = f" at the gateways of cluster {rollback.scope.name}" if rollback.scope.reach is Reach.CLUSTER else ""
    then = rollback.objects.get(key)
    back = f"fingerpost rollback release {rollback.name}"
    if then == body:
        text = f"pinned{where} by {rollback}: later versions are stored and wait for {back}"
        severity = Severity.INFO
    else:
        stands = "the version of that snapshot is in force" if then is not None else "nothing of it is in force"
        text = f"this version is stored and held back{where} by {rollback}: {stands} until {back}"
        severity = Severity.WARNING
    return Problem(ref=key, severity=severity, code=ROLLED_BACK, message=text)
