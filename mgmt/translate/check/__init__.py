"""Checks of single objects: what the API server would refuse, and what is wrong with an object alone (routing.md §18).

An INVALID problem found here refuses the object as a whole: it is never part of a snapshot. Mistakes that cost only a
part of an object (one listener, one route) belong to the modules that compile that part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter
from mgmt.translate.check import (
    external_endpoint,
    external_service,
    kubernetes_cluster,
    outlier_detection_policy,
    route_table,
    virtual_destination,
    virtual_gateway,
    workspace,
    workspace_settings,
)

_CHECKS: dict[str, Callable[[Any, Reporter], None]] = {
    "admin.gloo.solo.io/KubernetesCluster": kubernetes_cluster.check,
    "admin.gloo.solo.io/Workspace": workspace.check,
    "admin.gloo.solo.io/WorkspaceSettings": workspace_settings.check,
    "networking.gloo.solo.io/ExternalEndpoint": external_endpoint.check,
    "networking.gloo.solo.io/ExternalService": external_service.check,
    "networking.gloo.solo.io/RouteTable": route_table.check,
    "networking.gloo.solo.io/VirtualDestination": virtual_destination.check,
    "networking.gloo.solo.io/VirtualGateway": virtual_gateway.check,
    "resilience.policy.gloo.solo.io/OutlierDetectionPolicy": outlier_detection_policy.check,
}


def check_object(key: ObjectKey, obj: Any) -> tuple[Problem, ...]:
    """`obj` is what `fingerpost.api.decode.decode` made of it. Kinds that users do not write have nothing to check."""
    check = _CHECKS.get(key.type)
    if check is None:
        return ()
    report = Reporter(key)
    check(obj, report)
    return tuple(report.problems)
