"""One pure function folds an object's problems into the status that users read (relay.md §8.3, routing.md §15)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from fingerpost.api.common import ApprovalState
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Severity

_APPROVAL = {
    Severity.FAILED: ApprovalState.FAILED,
    Severity.INVALID: ApprovalState.INVALID,
    Severity.WARNING: ApprovalState.WARNING,
    Severity.INFO: ApprovalState.ACCEPTED,
}
_LONGEST = 2048
TRANSLATION_FAILED = "TranslationFailed"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`counts` are the kind's own fields, zeros included (P-42). `problems` are what `describe` and `check` list."""

    approval: ApprovalState
    message: str = ""
    observed_generation: int = 0
    workspace: str = ""
    counts: Mapping[str, Any] = {}
    problems: tuple[Problem, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """`status` as the API spells it: `common.State` with a capital S (R-171)."""
        state = {
            "observedGeneration": self.observed_generation,
            "approval": self.approval.value,
            "message": self.message,
        }
        conditions = {self.approval.value: 1} if self.workspace else {}
        return {"common": {"State": state, "workspaceConditions": conditions}, **self.counts}


def fold(
    problems: Iterable[Problem], generation: int, workspace: str = "", counts: Mapping[str, Any] | None = None
) -> Status:
    """PENDING beats all, since then nothing else was looked at; else the worst of what was found."""
    found = tuple(dict.fromkeys(problems))
    pending = [p for p in found if p.severity == Severity.PENDING]
    shown = pending or found
    worst = max((p.severity for p in shown), default=Severity.INFO)
    approval = ApprovalState.PENDING if pending else _APPROVAL[worst]
    message = "; ".join(_text(p) for p in shown)
    if len(message) > _LONGEST:
        message = message[: _LONGEST - 4] + " ..."
    return Status(
        approval=approval,
        message=message,
        observed_generation=generation,
        workspace=workspace,
        counts=counts or {},
        problems=found,
    )


def failed(status: Status, ref: ObjectKey, wrong: str, generation: int) -> Status:
    """The translation of the object raised; what was in force before still is."""
    message = f"the translation failed ({wrong}); what was translated before stays in force"
    problem = Problem(ref=ref, severity=Severity.FAILED, code=TRANSLATION_FAILED, message=message)
    return msgspec.structs.replace(
        status,
        approval=ApprovalState.FAILED,
        message=message,
        observed_generation=generation,
        problems=(*status.problems, problem),
    )


def _text(problem: Problem) -> str:
    """The path first, unless the message names the field already."""
    path, message = problem.path, problem.message
    short = path.removeprefix("spec.")
    named = problem.located or path in message or message.startswith((f"{short}:", f"{short} "))
    return message if named else f"{path}: {message}"
