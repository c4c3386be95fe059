"""OutlierDetectionPolicy: ranges, and which destinations it may select (policies-traffic.md §3.3)."""

from __future__ import annotations

from fingerpost.api.common import DestinationKind
from fingerpost.api.resilience.outlier_detection_policy import Config, OutlierDetectionPolicySpec
from fingerpost.crd.constraints import Constraints, Rule, limit
from fingerpost.crd.rules.common import supported, supported_words

LARGEST_COUNT = 2**31 - 1
SUPPORTED = (DestinationKind.VIRTUAL_DESTINATION, DestinationKind.EXTERNAL_SERVICE)
UNSUPPORTED = supported_words(SUPPORTED)
WHOLE_MILLISECONDS = "must be whole milliseconds and at least 1ms"
# CEL cannot take a duration modulo another; this reads the same from how it is written.
_WHOLE = (
    "^([0-9]+([.][0-9]{0,5}0*)?h|[0-9]+([.][0-9]{0,4}0*)?m|[0-9]+([.][0-9]{0,3}0*)?s|[0-9]+([.]0*)?ms|[0-9]*000us)+$"
)

RULES: Constraints = {
    OutlierDetectionPolicySpec: (Rule(supported(SUPPORTED), UNSUPPORTED, at="applyToDestinations[]", about="kind"),),
    Config: (
        limit("consecutiveErrors", minimum=1, maximum=LARGEST_COUNT),
        limit("consecutiveGatewayErrors", maximum=LARGEST_COUNT),
        limit("maxEjectionPercent", maximum=100),
        *(
            Rule(
                f"self.matches('{_WHOLE}') && duration(self) >= duration('1ms')",
                WHOLE_MILLISECONDS,
                at=name,
            )
            for name in ("interval", "baseEjectionTime")
        ),
    ),
}
