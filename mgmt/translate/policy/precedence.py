"""Several policies of one kind on one target: the oldest has it whole (policies-traffic.md §1.4). There is no
specificity.

The order in which policies are handed in never shows (P-22).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter, Severity
from mgmt.translate.workspace.seniority import seniority

Target = TypeVar("Target", bound=Hashable)


class Contender(NamedTuple, Generic[Target]):
    """A valid policy; an INVALID one takes no part (P-20). `spec` is compared only with that of copies of the same
    name.
    """

    key: ObjectKey
    created: str
    spec: object
    targets: frozenset[Target]


class Precedence(NamedTuple, Generic[Target]):
    """`winners` has the policy of every selected target; `problems` are those of policies that lost something."""

    winners: Mapping[Target, ObjectKey]
    problems: tuple[Problem, ...]


def settle(contenders: Iterable[Contender[Target]], target_type: str) -> Precedence[Target]:
    """All contenders are of one kind. `target_type` is `route`, `destination`, `listener` or `workload`."""
    holders: dict[Target, Contender[Target]] = {}
    problems: list[Problem] = []
    for contender in sorted(contenders, key=lambda c: seniority(c.created, c.key)):
        lost: set[ObjectKey] = set()
        missed = 0
        for target in contender.targets:
            holder = holders.setdefault(target, contender)
            if holder is contender:
                continue
            if _identical(holder, contender):
                lost.add(holder.key)
            else:
                missed += 1
        problems.extend(_problems(contender, sorted(lost), missed, target_type))
    return Precedence({target: holder.key for target, holder in holders.items()}, tuple(sorted(problems)))


def _identical(one: Contender[Target], other: Contender[Target]) -> bool:
    """Copies of one policy in several clusters (P-21)."""
    return (one.key.namespace, one.key.name) == (other.key.namespace, other.key.name) and one.spec == other.spec


def _problems(
    contender: Contender[Target], copies: list[ObjectKey], missed: int, target_type: str
) -> Iterable[Problem]:
    report, key = Reporter(contender.key), contender.key
    if missed:
        message = (
            f"{key.kind} conflicts with existing policy applied to {target_type}. "
            f"Skipping applying {key.name}.{key.namespace}"
        )
        # FAILED without any effect; where a copy stands for it, or another target is its own, it has one.
        if missed == len(contender.targets):
            report.failed("", "PolicyConflict", message)
        else:
            report.warn("", "PolicyConflict", message)
    for copy in copies:
        report.add(Severity.INFO, "", "IdenticalPolicy", f"identical to {copy.name}.{copy.namespace}.{copy.cluster}")
    return report.problems
