"""ExternalService: a destination outside every cluster."""

import enum
from collections.abc import Mapping
from typing import ClassVar

from fingerpost.api.base import ApiStruct, ObjectMeta, UInt32
from fingerpost.api.common import ObjectReference, PortSelector, Status


class TLSMode(enum.StrEnum):
    """`networking.gloo.solo.io.ExternalServiceSpec.Port.TlsConfig.TLSMode`"""

    SIMPLE = "SIMPLE"
    DISABLE = "DISABLE"
    MUTUAL = "MUTUAL"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"


class TlsConfig(ApiStruct, frozen=True):
    """Its mere presence switches TLS on (D-69)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.ExternalServiceSpec.Port.TlsConfig"

    sni: str = ""
    mode: TLSMode = TLSMode.SIMPLE
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    credential_name: str = ""
    insecure_skip_verify: bool | None = None


class EgressGatewayRoutes(ApiStruct, frozen=True):
    """`port_match` 0 means 80 (destinations.md §8.5)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.ExternalServiceSpec.Port.EgressGatewayRoutes"

    port_match: UInt32 = 0
    virtual_gateway_refs: tuple[ObjectReference, ...] = ()


class Port(ApiStruct, frozen=True):
    """An absent `target_port` means the same number; HTTPS and TLS imply TLS (destinations.md §8.3)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.ExternalServiceSpec.Port"

    number: UInt32 = 0
    target_port: PortSelector | None = None
    name: str = ""
    protocol: str = ""
    clientside_tls: TlsConfig | None = None
    egress_gateway_routes: EgressGatewayRoutes | None = None


class ExternalServiceSpec(ApiStruct, frozen=True):
    """Either hosts or addresses (D-66); an empty selector selects no endpoints (D-68)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.ExternalServiceSpec"

    hosts: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    selector: Mapping[str, str] = {}
    subject_alt_names: tuple[str, ...] = ()


class ExternalServiceStatus(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.ExternalServiceStatus"

    common: Status | None = None
    num_applied_destination_policies: Mapping[str, UInt32] = {}
    num_selected_external_endpoints: UInt32 = 0
    owned_by_workspace: str = ""
    num_selected_virtual_gateways: UInt32 = 0


class ExternalService(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: ExternalServiceSpec = ExternalServiceSpec()
    status: ExternalServiceStatus = ExternalServiceStatus()
    api_version: str = "networking.gloo.solo.io/v2"
    kind: str = "ExternalService"
