"""Policies, one module per kind. The tuple below is the whole registration, and its order the order of application."""

from fingerpost.crd.rules import outlier_detection_policy as outlier_detection_rules
from mgmt.translate.policy import outlier_detection_policy
from mgmt.translate.policy.destination_policies import DestinationPolicyKind

DESTINATION_POLICIES: tuple[DestinationPolicyKind, ...] = (
    DestinationPolicyKind(
        type=outlier_detection_policy.TYPE,
        supported=outlier_detection_rules.SUPPORTED,
        apply=outlier_detection_policy.apply,
    ),
)
