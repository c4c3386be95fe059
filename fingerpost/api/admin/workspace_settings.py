"""WorkspaceSettings: import, export and options of a workspace."""

import enum
from collections.abc import Mapping
from typing import ClassVar

from fingerpost.api.base import ApiStruct, ObjectMeta, UInt32
from fingerpost.api.common import (
    ClientMode,
    EnforcementLayers,
    ObjectReference,
    ObjectSelector,
    PortSelector,
    Status,
    WorkspaceSelector,
)


class ObjectKind(enum.StrEnum):
    """`admin.gloo.solo.io.WorkspaceSettingsSpec.WorkspaceObjectSelector.TypedObjectSelector.ObjectKind`"""

    ALL = "ALL"
    ROUTE_TABLE = "ROUTE_TABLE"
    SERVICE = "SERVICE"
    VIRTUAL_DESTINATION = "VIRTUAL_DESTINATION"
    EXTERNAL_SERVICE = "EXTERNAL_SERVICE"
    API_DOC = "API_DOC"
    GRAPHQL_RESOLVER_MAP = "GRAPHQL_RESOLVER_MAP"
    GRAPHQL_SCHEMA = "GRAPHQL_SCHEMA"
    GRAPHQL_STITCHED_SCHEMA = "GRAPHQL_STITCHED_SCHEMA"
    EXTERNAL_WORKLOAD = "EXTERNAL_WORKLOAD"


class TypedObjectSelector(ApiStruct, frozen=True):
    """`name`, `namespace` and `cluster` are exact, without wildcards (W-32)."""

    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceSettingsSpec.WorkspaceObjectSelector.TypedObjectSelector"

    kind: ObjectKind = ObjectKind.ALL
    labels: Mapping[str, str] = {}
    name: str = ""
    namespace: str = ""
    cluster: str = ""


class WorkspaceObjectSelector(ApiStruct, frozen=True):
    """Empty `workspaces` share nothing (W-34), empty `resources` share every shareable kind (W-33)."""

    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceSettingsSpec.WorkspaceObjectSelector"

    workspaces: tuple[WorkspaceSelector, ...] = ()
    resources: tuple[TypedObjectSelector, ...] = ()


class ServiceIsolation(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceSettingsSpec.Options.ServiceIsolation"

    enabled: bool = False
    trim_proxy_config: bool | None = None
    enforcement_layers: EnforcementLayers | None = None


class Federation(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceSettingsSpec.Options.Federation"

    enabled: bool = False
    host_suffix: str = ""
    service_selector: tuple[ObjectSelector, ...] = ()
    ports: tuple[PortSelector, ...] = ()


class HostInfo(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceSettingsSpec.Options.EastWestGatewaySelector.HostInfo"

    addr: str = ""
    port: UInt32 = 0


class EastWestGatewaySelector(ApiStruct, frozen=True):
    """`host_info_overrides` replace all discovered addresses (destinations.md §4.1)."""

    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceSettingsSpec.Options.EastWestGatewaySelector"

    selector: ObjectSelector | None = None
    port: PortSelector | None = None
    tls_termination_port: PortSelector | None = None
    host_info_overrides: tuple[HostInfo, ...] = ()


class Options(ApiStruct, frozen=True):
    """An option absent in the global settings leaves the one of the workspace in force (workspaces.md §3.2)."""

    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceSettingsSpec.Options"

    service_isolation: ServiceIsolation | None = None
    federation: Federation | None = None
    east_west_gateways: tuple[EastWestGatewaySelector, ...] = ()
    virtual_dest_client_mode: ClientMode | None = None
    trim_all_proxy_config: bool = False


class WorkspaceSettingsSpec(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceSettingsSpec"

    import_from: tuple[WorkspaceObjectSelector, ...] = ()
    export_to: tuple[WorkspaceObjectSelector, ...] = ()
    options: Options | None = None


class WorkspaceSettingsStatus(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceSettingsStatus"

    common: Status | None = None
    workspace: ObjectReference | None = None
    num_selected_east_west_gateways: UInt32 = 0
    num_federated_services: UInt32 = 0


class WorkspaceSettings(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: WorkspaceSettingsSpec = WorkspaceSettingsSpec()
    status: WorkspaceSettingsStatus = WorkspaceSettingsStatus()
    api_version: str = "admin.gloo.solo.io/v2"
    kind: str = "WorkspaceSettings"
