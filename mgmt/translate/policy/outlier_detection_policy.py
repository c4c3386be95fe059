"""OutlierDetectionPolicy: take bad endpoints of a destination out for a while (policies-traffic.md §3.3).

What is wrong with the object alone is found by the checks; a policy that failed them must not come here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from msgspec.structs import replace

from fingerpost.api.resilience.outlier_detection_policy import Config, OutlierDetectionPolicySpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter
from mgmt.translate.ir import DestinationSettings, OutlierDetection

TYPE = "resilience.policy.gloo.solo.io/OutlierDetectionPolicy"
_DEFAULT = OutlierDetection()


def apply(spec: OutlierDetectionPolicySpec, settings: DestinationSettings) -> DestinationSettings:
    return replace(settings, outlier_detection=outlier_detection(spec.config or Config()))


def outlier_detection(config: Config) -> OutlierDetection:
    """An explicit `maxEjectionPercent: 0` leaves the data plane's own default in force, an absent one means 100 (P-99,
    P-100).
    """
    percent = config.max_ejection_percent
    return OutlierDetection(
        consecutive_errors=_DEFAULT.consecutive_errors
        if config.consecutive_errors is None
        else config.consecutive_errors,
        gateway_errors=config.consecutive_gateway_errors or 0,
        interval_ms=_milliseconds(config.interval, _DEFAULT.interval_ms),
        base_ejection_ms=_milliseconds(config.base_ejection_time, _DEFAULT.base_ejection_ms),
        max_ejection_percent=_DEFAULT.max_ejection_percent if percent is None else percent or None,
    )


def _milliseconds(value: timedelta | None, default: int) -> int:
    return default if value is None else value // timedelta(milliseconds=1)


def outside_problem(policy: ObjectKey, target: ObjectKey, hosts: Iterable[str]) -> Problem | None:
    """WARNING, and still applied, when an ExternalService's endpoints (`hosts`) lie outside the clusters' surroundings
    (P-104).
    """
    outside = ", ".join(sorted(hosts))
    if not outside:
        return None
    report = Reporter(policy)
    report.warn(
        "spec.applyToDestinations",
        "OutsideEndpoints",
        f"{target} has endpoints outside the clusters ({outside}), for which outlier detection is not meant; it is "
        "applied all the same",
    )
    return report.problems[0]
