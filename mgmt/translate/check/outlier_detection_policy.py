"""OutlierDetectionPolicy: ranges, and which destinations it may select (policies-traffic.md §3.3)."""

from __future__ import annotations

from fingerpost.api.resilience.outlier_detection_policy import OutlierDetectionPolicy
from fingerpost.crd.rules import outlier_detection_policy as rules
from fingerpost.problems import Reporter
from mgmt.translate.check.rules import check_destinations, check_whole_milliseconds, refuse


def check(policy: OutlierDetectionPolicy, report: Reporter) -> None:
    check_destinations(report, policy.spec.apply_to_destinations, rules.SUPPORTED)
    config = policy.spec.config
    if config is None:
        return
    path = "spec.config"
    if config.consecutive_errors is not None and not 1 <= config.consecutive_errors <= rules.LARGEST_COUNT:
        message = f"must be 1 to {rules.LARGEST_COUNT}, not {config.consecutive_errors}"
        refuse(report, f"{path}.consecutiveErrors", message)
    if config.consecutive_gateway_errors is not None and config.consecutive_gateway_errors > rules.LARGEST_COUNT:
        message = f"must be 0 to {rules.LARGEST_COUNT}, not {config.consecutive_gateway_errors}"
        refuse(report, f"{path}.consecutiveGatewayErrors", message)
    if config.max_ejection_percent is not None and config.max_ejection_percent > 100:
        refuse(report, f"{path}.maxEjectionPercent", f"must be 0 to 100, not {config.max_ejection_percent}")
    check_whole_milliseconds(report, f"{path}.interval", config.interval)
    check_whole_milliseconds(report, f"{path}.baseEjectionTime", config.base_ejection_time)
