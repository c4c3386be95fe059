"""OutlierDetectionPolicy: take bad endpoints out for a while."""

from typing import ClassVar

from fingerpost.api.base import ApiStruct, Duration, ObjectMeta, UInt32
from fingerpost.api.common import DestinationSelector, Status


class Config(ApiStruct, frozen=True):
    """Absent is not zero: an explicit `max_ejection_percent` of 0 means the proxy default (P-100)."""

    PROTO: ClassVar[str] = "resilience.policy.gloo.solo.io.OutlierDetectionPolicySpec.Config"

    consecutive_errors: UInt32 | None = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: UInt32 | None = None
    consecutive_gateway_errors: UInt32 | None = None


class OutlierDetectionPolicySpec(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "resilience.policy.gloo.solo.io.OutlierDetectionPolicySpec"

    apply_to_destinations: tuple[DestinationSelector, ...] = ()
    config: Config | None = None


class OutlierDetectionPolicyStatus(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "resilience.policy.gloo.solo.io.OutlierDetectionPolicyStatus"

    common: Status | None = None
    num_selected_destination_ports: UInt32 = 0


class OutlierDetectionPolicy(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: OutlierDetectionPolicySpec = OutlierDetectionPolicySpec()
    status: OutlierDetectionPolicyStatus = OutlierDetectionPolicyStatus()
    api_version: str = "resilience.policy.gloo.solo.io/v2"
    kind: str = "OutlierDetectionPolicy"
