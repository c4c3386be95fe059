"""VirtualDestination: one hostname over equivalent services of many clusters."""

from collections.abc import Mapping
from typing import ClassVar

from fingerpost.api.base import ApiStruct, ObjectMeta, UInt32
from fingerpost.api.common import ClientMode, ObjectSelector, PortSelector, Status


class PortMapping(ApiStruct, frozen=True):
    """An absent `target_port` means the same number (D-34)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.VirtualDestinationSpec.PortMapping"

    number: UInt32 = 0
    protocol: str = ""
    target_port: PortSelector | None = None


class VirtualDestinationSpec(ApiStruct, frozen=True):
    """Without `hosts` it gets a generated one (destinations.md §5.3)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.VirtualDestinationSpec"

    hosts: tuple[str, ...] = ()
    services: tuple[ObjectSelector, ...] = ()
    external_services: tuple[ObjectSelector, ...] = ()
    external_workloads: tuple[ObjectSelector, ...] = ()
    ports: tuple[PortMapping, ...] = ()
    client_mode: ClientMode | None = None


class VirtualDestinationStatus(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.VirtualDestinationStatus"

    common: Status | None = None
    num_applied_destination_policies: Mapping[str, UInt32] = {}
    num_selected_backing_services: UInt32 = 0
    owned_by_workspace: str = ""


class VirtualDestination(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: VirtualDestinationSpec = VirtualDestinationSpec()
    status: VirtualDestinationStatus = VirtualDestinationStatus()
    api_version: str = "networking.gloo.solo.io/v2"
    kind: str = "VirtualDestination"
