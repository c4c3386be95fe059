"""RouteTable: hosts, ordered routes and what they do."""

import enum
from collections.abc import Mapping
from typing import ClassVar, Literal

from fingerpost.api.base import Absent, ApiStruct, ClusterObjectRef, Int32, ObjectMeta, RegexMatchAndSubstitute, UInt32
from fingerpost.api.common import (
    DestinationReference,
    DestinationSelector,
    HTTPRequestMatcher,
    ObjectReference,
    ObjectSelector,
    PortalMetadata,
    RouteFilter,
    Status,
    TCPRequestMatcher,
    TLSRequestMatcher,
    WorkloadSelector,
)


class ForwardToAction(ApiStruct, frozen=True):
    """`destinations` written as an empty list are refused, absent ones only cost the route (routing.md §18)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.ForwardToAction"

    destinations: tuple[DestinationReference, ...] = Absent()
    path_rewrite: str = ""
    regex_rewrite: RegexMatchAndSubstitute | None = None
    host_rewrite: str = ""
    auto_host_rewrite: bool = False


class SortMethod(enum.StrEnum):
    """`networking.gloo.solo.io.DelegateAction.SortMethod`"""

    TABLE_WEIGHT = "TABLE_WEIGHT"
    ROUTE_SPECIFICITY = "ROUTE_SPECIFICITY"


class DelegateAction(ApiStruct, frozen=True):
    """A reference to one table is a selector with its name (routing.md §9.1)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.DelegateAction"

    route_tables: tuple[ObjectSelector, ...] = ()
    allowed_routes: tuple[RouteFilter, ...] = ()
    sort_method: SortMethod = SortMethod.TABLE_WEIGHT


class RedirectResponseCode(enum.StrEnum):
    """`networking.gloo.solo.io.RedirectAction.RedirectResponseCode`"""

    MOVED_PERMANENTLY = "MOVED_PERMANENTLY"
    FOUND = "FOUND"
    SEE_OTHER = "SEE_OTHER"
    TEMPORARY_REDIRECT = "TEMPORARY_REDIRECT"
    PERMANENT_REDIRECT = "PERMANENT_REDIRECT"


_STATUS_OF_CODE = {
    RedirectResponseCode.MOVED_PERMANENTLY: 301,
    RedirectResponseCode.FOUND: 302,
    RedirectResponseCode.SEE_OTHER: 303,
    RedirectResponseCode.TEMPORARY_REDIRECT: 307,
    RedirectResponseCode.PERMANENT_REDIRECT: 308,
}


class RedirectAction(ApiStruct, frozen=True):
    """`response_code` is a name or an HTTP number (routing.md §6.2); read `status`, which is the number for either."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.RedirectAction"

    host_redirect: str = ""
    path_redirect: str = ""
    response_code: RedirectResponseCode | Literal[301, 302, 303, 307, 308] = RedirectResponseCode.MOVED_PERMANENTLY

    @property
    def status(self) -> int:
        code = self.response_code
        return _STATUS_OF_CODE[code] if isinstance(code, RedirectResponseCode) else code


class DirectResponseAction(ApiStruct, frozen=True):
    """100 to 599 are admitted, below 200 the route is misconfigured (routing.md §6.3)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.DirectResponseAction"

    status: UInt32 = 0
    body: str = ""


class Options(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.GraphQLAction.Options"

    log_sensitive_info: bool | None = None


class GraphQLAction(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.GraphQLAction"

    schema: ClusterObjectRef | None = None
    stitched_schema: ClusterObjectRef | None = None
    options: Options | None = None


class HTTPRoute(ApiStruct, frozen=True):
    """Matchers are ORed, none means every request; exactly one action (routing.md §4.1)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.HTTPRoute"

    name: str = ""
    labels: Mapping[str, str] = {}
    matchers: tuple[HTTPRequestMatcher, ...] = ()
    forward_to: ForwardToAction | None = None
    delegate: DelegateAction | None = None
    redirect: RedirectAction | None = None
    direct_response: DirectResponseAction | None = None
    graphql: GraphQLAction | None = None


class TCPRoute(ApiStruct, frozen=True):
    """Destinations only: rewrites in `forward_to` are refused (R-108)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.TCPRoute"

    matchers: tuple[TCPRequestMatcher, ...] = ()
    forward_to: ForwardToAction | None = None


class TLSForwardToAction(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.TLSRoute.TLSForwardToAction"

    destinations: tuple[DestinationReference, ...] = ()


class TLSRoute(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.TLSRoute"

    matchers: tuple[TLSRequestMatcher, ...] = ()
    forward_to: TLSForwardToAction | None = None


class FailureMode(enum.StrEnum):
    """`networking.gloo.solo.io.RouteTableSpec.FailureMode`"""

    ROUTE_REPLACEMENT = "ROUTE_REPLACEMENT"
    FREEZE_CONFIG = "FREEZE_CONFIG"


class RouteTableSpec(ApiStruct, frozen=True):
    """A table with hosts is a root; one without is a child, reached through delegation only (routing.md §0)."""

    PROTO: ClassVar[str] = "networking.gloo.solo.io.RouteTableSpec"

    hosts: tuple[str, ...] = ()
    virtual_gateways: tuple[ObjectReference, ...] = ()
    workload_selectors: tuple[WorkloadSelector, ...] = ()
    apply_to_destinations: tuple[DestinationSelector, ...] = ()
    default_destination: DestinationReference | None = None
    http: tuple[HTTPRoute, ...] = ()
    tcp: tuple[TCPRoute, ...] = ()
    tls: tuple[TLSRoute, ...] = ()
    weight: Int32 = 0
    portal_metadata: PortalMetadata | None = None
    failure_mode: FailureMode = FailureMode.ROUTE_REPLACEMENT
    virtual_service_annotations: Mapping[str, str] = {}


class RouteTableStatus(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "networking.gloo.solo.io.RouteTableStatus"

    common: Status | None = None
    num_applied_route_policies: Mapping[str, UInt32] = {}
    num_parent_route_tables: UInt32 = 0
    owned_by_workspace: str = ""
    num_allowed_virtual_gateways: UInt32 = 0


class RouteTable(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: RouteTableSpec = RouteTableSpec()
    status: RouteTableStatus = RouteTableStatus()
    api_version: str = "networking.gloo.solo.io/v2"
    kind: str = "RouteTable"
