"""DiscoveredGateway: what an agent reports of one gateway Service (destinations.md §2.3).

Internal: never written by users.
"""

import enum
from collections.abc import Mapping
from typing import Literal

from fingerpost.api.base import ApiStruct, ObjectMeta

TYPE = "internal.gloo.solo.io/DiscoveredGateway"


class GatewayKind(enum.StrEnum):
    """Which data plane implements the gateway, and so which emitter serves it."""

    ISTIO = "istio"
    ENVOY = "envoy"


class GatewayPort(ApiStruct, frozen=True):
    """One port of the gateway Service. `target` is the listening port, 0 when the targetPort is a name (R-13)."""

    number: int
    name: str = ""
    protocol: str = "TCP"
    target: int = 0


class ExternalAddress(ApiStruct, frozen=True):
    """Where other clusters reach the gateway. `ports` maps each service port number to the port to dial there."""

    address: str
    ports: Mapping[str, int] = {}
    region: str = ""


class DiscoveredGatewaySpec(ApiStruct, frozen=True):
    gateway_kind: GatewayKind = GatewayKind.ENVOY
    workload_labels: Mapping[str, str] = {}  # spec.selector of the Service
    service_labels: Mapping[str, str] = {}
    service_type: Literal["CLUSTER_IP", "NODE_PORT", "LOAD_BALANCER", "EXTERNAL_NAME"] = "CLUSTER_IP"
    ports: tuple[GatewayPort, ...] = ()
    external_addresses: tuple[ExternalAddress, ...] = ()
    service_accounts: tuple[str, ...] = ()  # of the selected pods, sorted; in the Service's namespace


class DiscoveredGateway(ApiStruct, frozen=True):
    """`metadata` names the gateway Service."""

    metadata: ObjectMeta
    spec: DiscoveredGatewaySpec = DiscoveredGatewaySpec()
    api_version: str = "internal.gloo.solo.io/v2"
    kind: str = "DiscoveredGateway"
