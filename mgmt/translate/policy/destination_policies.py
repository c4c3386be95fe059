"""Which policy of a kind shapes each destination port, and what its status says. The same for every kind of
destination policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fingerpost.api.common import DestinationKind, DestinationSelector
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter, Severity
from mgmt.translate.ir import DestinationSettings
from mgmt.translate.policy.precedence import Contender, settle
from mgmt.translate.policy.selectors import DestinationPort, Selectable, select_ports


def _apply_to_destinations(spec: Any) -> Sequence[DestinationSelector]:
    found: Sequence[DestinationSelector] = spec.apply_to_destinations
    return found


class DestinationPolicyKind(NamedTuple):
    """One kind of destination policy. Each `Any` is the kind's own spec."""

    type: str
    supported: Sequence[DestinationKind]
    apply: Callable[[Any, DestinationSettings], DestinationSettings]
    selectors: Callable[[Any], Sequence[DestinationSelector]] = _apply_to_destinations


class DestinationPolicy(NamedTuple):
    """A policy that passed the checks of its kind. `workspace` is its owner."""

    key: ObjectKey
    created: str
    workspace: str
    spec: Any


class Applied(NamedTuple):
    """`winners`: the policy in force on every selected port. `selected`: numSelectedDestinationPorts, those lost
    included (P-42).
    """

    winners: Mapping[DestinationPort, ObjectKey]
    selected: Mapping[ObjectKey, int]
    problems: tuple[Problem, ...]


def settle_destinations(
    kind: DestinationPolicyKind,
    policies: Iterable[DestinationPolicy],
    available: Callable[[str], Iterable[Selectable]],
) -> Applied:
    """`available` gives the destinations available in a workspace, own and imported."""
    contenders: list[Contender[DestinationPort]] = []
    selected: dict[ObjectKey, int] = {}
    problems: list[Problem] = []
    for policy in policies:
        entries = kind.selectors(policy.spec)
        found = select_ports(entries, kind.supported, policy.workspace, available(policy.workspace))
        selected[policy.key] = len(found.targets)
        if not found.targets:
            problems.append(_nothing_selected(policy, found.imported))
        contenders.append(Contender(policy.key, policy.created, policy.spec, found.targets))
    settled = settle(contenders, "destination")
    return Applied(settled.winners, selected, tuple(sorted((*problems, *settled.problems))))


def _nothing_selected(policy: DestinationPolicy, imported: int) -> Problem:
    """A note; a WARNING where the policy selects only what another workspace's policies rule (workspaces.md §6.1)."""
    report = Reporter(policy.key)
    if imported:
        report.warn(
            "spec.applyToDestinations",
            "OnlyImported",
            f"selects only imported destinations ({imported}), to which the policies of their own workspace apply",
        )
    else:
        report.add(
            Severity.INFO,
            "spec.applyToDestinations",
            "NothingSelected",
            "no destination ports selected; correct name, labels or port",
        )
    return report.problems[0]


def apply_in_order(
    kinds: Sequence[DestinationPolicyKind], winners: Mapping[str, Any], settings: DestinationSettings
) -> DestinationSettings:
    """The settings of one port. `winners` maps a policy type to the spec in force there."""
    for kind in kinds:
        if kind.type in winners:
            settings = kind.apply(winners[kind.type], settings)
    return settings
