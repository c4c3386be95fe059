"""From discovered gateways and VirtualGateways to what each gateway listens on, and to classes of like gateways."""

from __future__ import annotations

from collections.abc import Mapping

from fingerpost.api.internal.discovered_gateway import GatewayKind
from fingerpost.api.networking.virtual_gateway import Listener, VirtualGatewaySpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.translate.engine import Context, Engine
from mgmt.translate.graph.inputs import GATEWAY, VIRTUAL_GATEWAY, Decoded, Inputs
from mgmt.translate.graph.ownership import OwnershipGraph
from mgmt.translate.ir import Value
from mgmt.translate.routing.gateway_plan import GatewayListeners, GatewayPlan, merge_gateway
from mgmt.translate.routing.gateways import GatewayView, Selection, select_gateways
from mgmt.translate.routing.listeners import (
    ListenerPlan,
    PortMiss,
    ResolvedListener,
    compile_listeners,
    resolve_listeners,
)
from mgmt.translate.workspace.seniority import seniority


class VirtualGatewayView(Value, frozen=True):
    """A VirtualGateway that takes part. `listeners` are those that can work, by index."""

    key: ObjectKey
    workspace: str
    created: str
    spec: VirtualGatewaySpec
    plans: tuple[ListenerPlan, ...]
    problems: tuple[Problem, ...]

    @property
    def listeners(self) -> Mapping[int, Listener]:
        return {plan.index: self.spec.listeners[plan.index] for plan in self.plans}


class Placement(Value, frozen=True):
    """A VirtualGateway on one selected gateway."""

    listeners: tuple[ResolvedListener, ...]
    misses: tuple[PortMiss, ...]


class PlannedGateway(Value, frozen=True):
    workspace: str
    plan: GatewayPlan
    problems: tuple[Problem, ...]  # about VirtualGateways that lost a conflict here


Placed = tuple[ObjectKey, ObjectKey]  # VirtualGateway, gateway Service (as DiscoveredGateway key)


class GatewayGraph:
    """`envoy`: what plain Envoys listen on. Those of Istio are made later, with what else is for Istio."""

    def __init__(self, engine: Engine, inputs: Inputs, owners: OwnershipGraph) -> None:
        self._owners = owners
        self.gateways = engine.step("gateways", inputs[GATEWAY], self._gateway)
        self.by_workspace = self.gateways.index(lambda _, g: (g.workspace,) if g.workspace else ())
        self.virtual = engine.step("virtual gateways", inputs[VIRTUAL_GATEWAY], self._virtual)
        self.selections = engine.step("selected gateways", self.virtual, self._select)
        self.envoy = PlacementGraph(engine, self, GatewayKind.ENVOY)

    def _gateway(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, GatewayView]:
        if decoded.obj is None:
            return {}
        return {key: GatewayView(key, decoded.obj.spec, self._owners.owner(context, key))}

    def _virtual(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, VirtualGatewayView]:
        workspace = self._owners.config_owner(context, key)
        if decoded.obj is None or workspace is None:
            return {}
        plans, problems = compile_listeners(key, decoded.obj.spec)
        view = VirtualGatewayView(
            key=key,
            workspace=workspace,
            created=decoded.created,
            spec=decoded.obj.spec,
            plans=plans,
            problems=problems,
        )
        return {key: view}

    def _select(self, context: Context, key: ObjectKey, view: VirtualGatewayView) -> dict[ObjectKey, Selection]:
        candidates = tuple(context.by(self.by_workspace, view.workspace).values())
        return {key: select_gateways(key, view.spec, view.workspace, candidates)}


class PlacementGraph:
    """What the gateways of one data plane listen on: each VirtualGateway on each gateway, then each gateway's plan."""

    def __init__(self, engine: Engine, gateways: GatewayGraph, kind: GatewayKind) -> None:
        self._gateways, self._kind = gateways, kind
        self.placements = engine.step(f"{kind.value} listeners", gateways.selections, self._place)
        self._by_gateway = self.placements.index(lambda key, _: (key[1],))
        self.by_virtual = self.placements.index(lambda key, _: (key[0],))
        self.plans = engine.step(f"{kind.value} gateway plans", gateways.gateways, self._plan)

    def _place(self, context: Context, key: ObjectKey, selection: Selection) -> dict[Placed, Placement]:
        view = context.get(self._gateways.virtual, key)
        if view is None:
            return {}
        placed = {}
        for gateway in selection.of(self._kind):
            listeners, misses = resolve_listeners(view.plans, gateway.key, gateway.spec)
            placed[key, gateway.key] = Placement(listeners=listeners, misses=misses)
        return placed

    def _plan(self, context: Context, key: ObjectKey, gateway: GatewayView) -> dict[ObjectKey, PlannedGateway]:
        if gateway.spec.gateway_kind is not self._kind:
            return {}
        mine = []
        for (virtual, _), placement in context.by(self._by_gateway, key).items():
            view = context.get(self._gateways.virtual, virtual)
            if view is not None:
                mine.append((seniority(view.created or None, virtual), GatewayListeners(virtual, placement.listeners)))
        mine.sort(key=lambda m: m[0])
        plan, problems = merge_gateway([listeners for _, listeners in mine])
        return {key: PlannedGateway(workspace=gateway.workspace or "", plan=plan, problems=problems)}
