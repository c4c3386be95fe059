"""The rules of the API server, one module per kind; each also holds the messages that the checks say in the same words.

A rule here has its counterpart in `mgmt.translate.check`: objects can be older than a rule (M-68), and folders of
manifests have no API server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct

from fingerpost.crd.constraints import Constraint, Constraints
from fingerpost.crd.rules import (
    common,
    external_endpoint,
    external_service,
    kubernetes_cluster,
    outlier_detection_policy,
    retry_timeout_policy,
    route_table,
    virtual_destination,
    virtual_gateway,
    workspace,
    workspace_settings,
)
from fingerpost.crd.schema import Schema

_MODULES = (
    common,
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


def merged(parts: Iterable[Constraints]) -> Constraints:
    """Raises ValueError where two rule one message: the rules of the first would silently be without effect."""
    found: dict[type[Struct], tuple[Constraint, ...]] = {}
    for part in parts:
        if both := found.keys() & part.keys():
            names = ", ".join(sorted(message.__name__ for message in both))
            raise ValueError(f"two modules have rules of {names}; what kinds share belongs into rules/common.py")
        found.update(part)
    return MappingProxyType(found)


RULES = merged(module.RULES for module in _MODULES)

# The specs of kinds without a model of which something is known all the same.
OPEN_SPECS: Mapping[str, Schema] = MappingProxyType(
    {"resilience.policy.gloo.solo.io/RetryTimeoutPolicy": retry_timeout_policy.SPEC}
)
