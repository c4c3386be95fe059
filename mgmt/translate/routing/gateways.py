"""Which gateway workloads implement a VirtualGateway (routing.md §3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fingerpost.api.common import WorkloadKind, WorkloadSelector
from fingerpost.api.internal.discovered_gateway import DiscoveredGatewaySpec, GatewayKind
from fingerpost.api.networking.virtual_gateway import VirtualGatewaySpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter
from mgmt.translate.workspace.selectors import selector_matches


class GatewayView(msgspec.Struct, frozen=True):
    """A discovered gateway Service and the workspace that owns its namespace."""

    key: ObjectKey  # names the Service
    spec: DiscoveredGatewaySpec
    workspace: str | None


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """`selected` is sorted; `implicit` when `workloads` was absent, so that a gateway without a listener's port is
    no mistake.
    """

    selected: tuple[GatewayView, ...] = ()
    implicit: bool = False
    problems: tuple[Problem, ...] = ()

    def of(self, kind: GatewayKind) -> tuple[GatewayView, ...]:
        return tuple(g for g in self.selected if g.spec.gateway_kind is kind)


def _matches(item: WorkloadSelector, gateway: GatewayView) -> bool:
    if item.kind is not WorkloadKind.KUBE or item.selector is None:
        return False
    # The Service's own labels are not looked at, only what it selects its pods by.
    return selector_matches(item.selector, gateway.key, gateway.spec.workload_labels, gateway.workspace)


def select_gateways(
    vg: ObjectKey, spec: VirtualGatewaySpec, vg_workspace: str | None, candidates: Sequence[GatewayView]
) -> Selection:
    """Only gateways of the VirtualGateway's own workspace count, in all its clusters, whatever the selectors say
    (R-9, W-47).
    """
    report = Reporter(vg)
    for i, item in enumerate(spec.workloads):
        if item.kind is WorkloadKind.VM:
            report.warn(
                f"spec.workloads[{i}].kind", "NotSupported", "kind VM selects no gateway: only KUBE is supported"
            )
        elif item.selector is None:
            message = "selector is absent, the item selects nothing: write selector: {} to select every gateway"
            report.warn(f"spec.workloads[{i}]", "SelectsNothing", message)
    implicit = not spec.workloads
    own = [g for g in candidates if vg_workspace is not None and g.workspace == vg_workspace]
    chosen = [g for g in own if implicit or any(_matches(item, g) for item in spec.workloads)]
    chosen.sort(key=lambda g: g.key)
    if not chosen:
        report.warn("spec.workloads", "NoGatewaySelected", "no gateway workloads selected", located=True)
    return Selection(selected=tuple(chosen), implicit=implicit, problems=tuple(report.problems))
