"""ExternalEndpoint: one address behind an ExternalService."""

from typing import ClassVar

from fingerpost.api.base import ApiStruct, ObjectMeta, UInt32
from fingerpost.api.common import Locality, Status


class Port(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.ExternalEndpointSpec.Port"

    name: str = ""
    number: UInt32 = 0


class ExternalEndpointSpec(ApiStruct, frozen=True):
    """`address` is an IP, a host name or `unix:///path` (destinations.md §8.2)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.ExternalEndpointSpec"

    address: str = ""
    ports: tuple[Port, ...] = ()
    locality: Locality | None = None


class ExternalEndpointStatus(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.ExternalEndpointStatus"

    common: Status | None = None


class ExternalEndpoint(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: ExternalEndpointSpec = ExternalEndpointSpec()
    status: ExternalEndpointStatus = ExternalEndpointStatus()
    api_version: str = "networking.gloo.solo.io/v2"
    kind: str = "ExternalEndpoint"
