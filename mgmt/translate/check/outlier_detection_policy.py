"""OutlierDetectionPolicy: ranges, and which destinations it may select (policies-traffic.md §3.3)."""

from __future__ import annotations

from datetime import timedelta

from fingerpost.api.base import Duration
from fingerpost.api.common import DestinationKind
from fingerpost.api.resilience.outlier_detection_policy import OutlierDetectionPolicy
from fingerpost.problems import Reporter
from mgmt.translate.check.rules import check_port, refuse

_MILLISECOND = timedelta(milliseconds=1)
_LARGEST_COUNT = 2**31 - 1


def check(policy: OutlierDetectionPolicy, report: Reporter) -> None:
    for i, selector in enumerate(policy.spec.apply_to_destinations):
        path = f"spec.applyToDestinations[{i}]"
        if selector.kind is DestinationKind.SERVICE:
            message = "kind is SERVICE (also when absent), but must be VIRTUAL_DESTINATION or EXTERNAL_SERVICE"
            refuse(report, f"{path}.kind", message)
        check_port(report, f"{path}.port", selector.port)
    config = policy.spec.config
    if config is None:
        return
    path = "spec.config"
    if config.consecutive_errors is not None and not 1 <= config.consecutive_errors <= _LARGEST_COUNT:
        message = f"must be 1 to {_LARGEST_COUNT}, not {config.consecutive_errors}"
        refuse(report, f"{path}.consecutiveErrors", message)
    if config.consecutive_gateway_errors is not None and config.consecutive_gateway_errors > _LARGEST_COUNT:
        message = f"must be 0 to {_LARGEST_COUNT}, not {config.consecutive_gateway_errors}"
        refuse(report, f"{path}.consecutiveGatewayErrors", message)
    if config.max_ejection_percent is not None and config.max_ejection_percent > 100:
        refuse(report, f"{path}.maxEjectionPercent", f"must be 0 to 100, not {config.max_ejection_percent}")
    _check_duration(report, f"{path}.interval", config.interval)
    _check_duration(report, f"{path}.baseEjectionTime", config.base_ejection_time)


def _check_duration(report: Reporter, path: str, value: Duration | None) -> None:
    if value is not None and (value < _MILLISECOND or value % _MILLISECOND):
        refuse(report, path, f"must be whole milliseconds and at least 1ms, not {value}")
