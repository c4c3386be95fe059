"""DestinationSelectors: which ports of which destinations a policy selects (policies-traffic.md §1.2, §1.3).

Only objects of the policy's own workspace are targets (§1.6); imported ones are merely counted, so that a status can
tell why nothing was selected.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fingerpost.api.common import DestinationKind, DestinationSelector, ObjectSelector
from fingerpost.objects import ObjectKey
from mgmt.translate.ir import Value
from mgmt.translate.routing.destination_views import KIND_OF_TYPE, DestinationView, NamedPort, select_port
from mgmt.translate.workspace.selectors import selector_matches

_EVERYTHING = ObjectSelector()


class DestinationPort(NamedTuple):
    """The target of a destination policy."""

    object: ObjectKey
    port: int


class Selectable(Value, frozen=True):
    """A destination available in the policy's workspace. `workspace` is its owner; `labels` are sorted pairs."""

    key: ObjectKey
    workspace: str | None
    labels: tuple[tuple[str, str], ...]
    ports: tuple[NamedPort, ...]


def selectable(view: DestinationView, workspace: str | None) -> Selectable:
    return Selectable(key=view.key, workspace=workspace, labels=view.labels, ports=view.named_ports)


class SelectedPorts(NamedTuple):
    """`imported`: objects that the selectors match, but which belong to another workspace, whose policies count."""

    targets: frozenset[DestinationPort]
    imported: int


def select_ports(
    selectors: Sequence[DestinationSelector],
    supported: Sequence[DestinationKind],
    workspace: str,
    destinations: Iterable[Selectable],
) -> SelectedPorts:
    """An empty list selects every supported destination of the workspace (P-12)."""
    entries = [e for e in selectors if e.kind in supported]
    if not selectors:
        entries = [DestinationSelector(kind=kind) for kind in supported]
    targets: set[DestinationPort] = set()
    imported = 0
    for destination in destinations:
        numbers = {n for entry in entries for n in _ports(entry, destination)}
        if not numbers:
            continue
        if destination.workspace == workspace:
            targets.update(DestinationPort(destination.key, n) for n in numbers)
        else:
            imported += 1
    return SelectedPorts(frozenset(targets), imported)


def _ports(entry: DestinationSelector, destination: Selectable) -> tuple[int, ...]:
    """A port that the object lacks selects nothing and is no error (P-8)."""
    if KIND_OF_TYPE.get(destination.key.type) is not entry.kind:
        return ()
    selector = entry.selector or _EVERYTHING
    if not selector_matches(selector, destination.key, dict(destination.labels), destination.workspace):
        return ()
    if entry.port is None or not (entry.port.number or entry.port.name):
        return tuple(p.number for p in destination.ports)
    number = select_port(entry.port, destination.ports)
    return () if number is None else (number,)
