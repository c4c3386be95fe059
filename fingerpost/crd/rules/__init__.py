"""The rules of the API server, one module per kind; each also holds the messages that the checks say in the same words.

A rule here has its counterpart in `mgmt.translate.check`: objects can be older than a rule (M-68), and folders of
manifests have no API server.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fingerpost.crd.constraints import Constraints
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

RULES: Constraints = MappingProxyType({model: rules for module in _MODULES for model, rules in module.RULES.items()})

# The specs of kinds without a model of which something is known all the same.
OPEN_SPECS: Mapping[str, Schema] = MappingProxyType(
    {"resilience.policy.gloo.solo.io/RetryTimeoutPolicy": retry_timeout_policy.SPEC}
)
