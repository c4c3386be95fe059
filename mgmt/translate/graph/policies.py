"""Which policies are in force on which destination ports, workspace by workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Collection as Some
from typing import Any

from fingerpost.api.common import DestinationKind
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.translate.engine import Collection, Context, Engine
from mgmt.translate.graph.inputs import USERS, Decoded, Inputs
from mgmt.translate.graph.ownership import OwnershipGraph
from mgmt.translate.graph.world import ViewGraph
from mgmt.translate.ir import DestinationSettings, Value
from mgmt.translate.policy import DESTINATION_POLICIES
from mgmt.translate.policy.destination_policies import DestinationPolicy, apply_in_order, settle_destinations
from mgmt.translate.policy.selectors import DestinationPort, Selectable, selectable
from mgmt.translate.routing.destination_views import ExternalServiceView, VirtualDestinationView
from mgmt.translate.workspace.ownership import WorkspaceView

_GROUP_OF_POLICIES = ".policy.gloo.solo.io/"


class PoliciesOf(Value, frozen=True):
    """The destination policies of a workspace: per kind the one in force on each port, and what their statuses say."""

    winners: Mapping[str, Mapping[DestinationPort, ObjectKey]]
    specs: Mapping[ObjectKey, Any]
    selected: Mapping[ObjectKey, int]
    problems: tuple[Problem, ...]

    def settings(self, port: DestinationPort) -> DestinationSettings:
        in_force = sorted(ports[port] for ports in self.winners.values() if port in ports)
        specs = {key.type: self.specs[key] for key in in_force}
        return apply_in_order(DESTINATION_POLICIES, specs, DestinationSettings(policies=tuple(in_force)))

    def applied_to(self, target: ObjectKey) -> dict[str, int]:
        """Policy type -> on how many ports of the object one is in force."""
        counts = {kind: sum(p.object == target for p in ports) for kind, ports in self.winners.items()}
        return {kind: count for kind, count in counts.items() if count}


class PolicyGraph:
    def __init__(self, engine: Engine, inputs: Inputs, owners: OwnershipGraph, views: ViewGraph) -> None:
        self._owners = owners
        self._views = views
        self._by_workspace: dict[str, Any] = {}
        self._policies: dict[str, Collection[ObjectKey, DestinationPolicy]] = {}
        missing = {t for t in USERS if _GROUP_OF_POLICIES in t} - {kind.type for kind in DESTINATION_POLICIES}
        if missing:
            raise TypeError(f"policies with a model but without registration would be accepted in silence: {missing}")
        for kind in DESTINATION_POLICIES:
            policies = engine.step(f"policies {kind.type}", inputs[kind.type], self._policy)
            self._policies[kind.type] = policies
            self._by_workspace[kind.type] = policies.index(lambda _, p: (p.workspace,))
        self.of = engine.step("destination policies", owners.workspaces, self._settle)

    def _policy(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, DestinationPolicy]:
        workspace = self._owners.config_owner(context, key)
        if decoded.obj is None or workspace is None:
            return {}
        return {key: DestinationPolicy(key, decoded.created, workspace, decoded.obj.spec)}

    def _selectable(self, context: Context, workspace: str, kinds: Some[DestinationKind]) -> list[Selectable]:
        """Of the kinds asked for only: of Services there may be very many."""
        found: list[Selectable] = []
        views: list[VirtualDestinationView | ExternalServiceView] = []
        if DestinationKind.SERVICE in kinds:
            for view in self._views.available_services(context, workspace):
                found.append(selectable(view, self._owners.owner(context, view.key)))
        if DestinationKind.VIRTUAL_DESTINATION in kinds:
            views += self._views.available_virtual(context, workspace)
        if DestinationKind.EXTERNAL_SERVICE in kinds:
            views += self._views.available_external(context, workspace)
        return found + [selectable(view, view.workspace) for view in views]

    def _settle(self, context: Context, name: str, workspace: WorkspaceView) -> dict[str, PoliciesOf]:
        winners: dict[str, Mapping[DestinationPort, ObjectKey]] = {}
        selected: dict[ObjectKey, int] = {}
        specs: dict[ObjectKey, Any] = {}
        problems: list[Problem] = []
        for kind in DESTINATION_POLICIES:
            policies = context.by(self._by_workspace[kind.type], name)
            if not policies:
                continue
            mine = list(policies.values())
            applied = settle_destinations(kind, mine, self._of_kinds(context, kind.supported))
            winners[kind.type] = applied.winners
            selected.update(applied.selected)
            specs.update({p.key: p.spec for p in mine})
            problems += applied.problems
        if not selected:
            return {}
        return {name: PoliciesOf(winners=winners, specs=specs, selected=selected, problems=tuple(problems))}

    def _of_kinds(self, context: Context, kinds: Some[DestinationKind]) -> Callable[[str], Iterable[Selectable]]:
        return lambda workspace: self._selectable(context, workspace, kinds)

    def settings(self, context: Context, workspace: str, target: ObjectKey, port: int) -> DestinationSettings:
        policies = context.get(self.of, workspace)
        return policies.settings(DestinationPort(target, port)) if policies else DestinationSettings()
