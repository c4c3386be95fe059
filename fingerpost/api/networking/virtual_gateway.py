"""VirtualGateway: listeners on selected gateway workloads."""

import enum
from typing import ClassVar

from fingerpost.api.base import ApiStruct, ObjectMeta, UInt32
from fingerpost.api.common import ObjectSelector, PortSelector, RouteFilter, Status, WorkloadSelector


class Files(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.TLSConfig.Files"

    server_cert: str = ""
    private_key: str = ""
    ca_certs: str = ""


class ProtocolVersion(enum.StrEnum):
    """`networking.gloo.solo.io.TLSConfig.Parameters.ProtocolVersion`"""

    TLS_AUTO = "TLS_AUTO"
    TLSV1_0 = "TLSv1_0"
    TLSV1_1 = "TLSv1_1"
    TLSV1_2 = "TLSv1_2"
    TLSV1_3 = "TLSv1_3"


class Parameters(ApiStruct, frozen=True):
    """TLS_AUTO as minimum means TLS 1.2 (routing.md §3.5)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.TLSConfig.Parameters"

    minimum_protocol_version: ProtocolVersion = ProtocolVersion.TLS_AUTO
    maximum_protocol_version: ProtocolVersion = ProtocolVersion.TLS_AUTO
    cipher_suites: tuple[str, ...] = ()


class TLSMode(enum.StrEnum):
    """`networking.gloo.solo.io.TLSConfig.TLSMode`"""

    PASSTHROUGH = "PASSTHROUGH"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    AUTO_PASSTHROUGH = "AUTO_PASSTHROUGH"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"


class TLSConfig(ApiStruct, frozen=True):
    """The default mode is PASSTHROUGH, which no http listener can use (R-22)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.TLSConfig"

    secret_name: str = ""
    files: Files | None = None
    verify_subject_alt_name: tuple[str, ...] = ()
    parameters: Parameters | None = None
    mode: TLSMode = TLSMode.PASSTHROUGH


class HTTPServer(ApiStruct, frozen=True):
    """Only its presence counts. Unknown fields below it are kept, so they are no finding (routing.md §18)."""

    OPEN: ClassVar[bool] = True
    PROTO: ClassVar[str] = "networking.gloo.solo.io.VirtualGatewaySpec.Listener.HTTPServer"


class TCPServer(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.VirtualGatewaySpec.Listener.TCPServer"


class RouteTableFilter(ApiStruct, frozen=True):
    """`host` is `[<namespace>/]<dnsName>`; no selector accepts every available table (routing.md §3.6)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.VirtualGatewaySpec.Listener.RouteTableFilter"

    host: str = ""
    selector: ObjectSelector | None = None
    allowed_routes: tuple[RouteFilter, ...] = ()


class ExternalServiceFilter(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.VirtualGatewaySpec.Listener.ExternalServiceFilter"

    host: str = ""
    selector: ObjectSelector | None = None


class Listener(ApiStruct, frozen=True):
    """`port` is one of the gateway Service; without `http` and `tcp` it is a tcp listener (routing.md §3.1)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.VirtualGatewaySpec.Listener"

    port: PortSelector | None = None
    tls: TLSConfig | None = None
    https_redirect: bool = False
    http: HTTPServer | None = None
    tcp: TCPServer | None = None
    allowed_route_tables: tuple[RouteTableFilter, ...] = ()
    exposed_external_services: tuple[ExternalServiceFilter, ...] = ()
    app_protocol: str = ""


class VirtualGatewaySpec(ApiStruct, frozen=True):
    """Absent `workloads` mean all gateway workloads of the workspace (R-8)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.VirtualGatewaySpec"

    workloads: tuple[WorkloadSelector, ...] = ()
    listeners: tuple[Listener, ...] = ()


class VirtualGatewayStatus(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.VirtualGatewayStatus"

    common: Status | None = None
    route_tables_count: UInt32 = 0
    selected_workloads_count: UInt32 = 0
    external_services_count: UInt32 = 0


class VirtualGateway(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: VirtualGatewaySpec = VirtualGatewaySpec()
    status: VirtualGatewayStatus = VirtualGatewayStatus()
    api_version: str = "networking.gloo.solo.io/v2"
    kind: str = "VirtualGateway"
