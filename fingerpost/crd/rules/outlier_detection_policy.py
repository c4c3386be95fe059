"""OutlierDetectionPolicy: ranges, and which destinations it may select (policies-traffic.md §3.3)."""

from __future__ import annotations

from fingerpost.api.common import DestinationKind
from fingerpost.api.resilience.outlier_detection_policy import Config, OutlierDetectionPolicySpec
from fingerpost.crd.constraints import Constraints, limit
from fingerpost.crd.rules.common import supported_destinations, whole_milliseconds

LARGEST_COUNT = 2**31 - 1
SUPPORTED = (DestinationKind.VIRTUAL_DESTINATION, DestinationKind.EXTERNAL_SERVICE)

RULES: Constraints = {
    OutlierDetectionPolicySpec: supported_destinations(SUPPORTED),
    Config: (
        limit("consecutiveErrors", minimum=1, maximum=LARGEST_COUNT),
        limit("consecutiveGatewayErrors", maximum=LARGEST_COUNT),
        limit("maxEjectionPercent", maximum=100),
        *whole_milliseconds("interval", "baseEjectionTime"),
    ),
}
