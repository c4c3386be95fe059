"""Messages that several kinds share: references, selectors, matchers, status."""

import enum
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from fingerpost.api.base import ApiStruct, Empty, Int64, UInt32


class ObjectSelector(ApiStruct, frozen=True):
    """All given fields are ANDed; it only selects what is available in the workspace of its owner (routing.md §2.2)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.ObjectSelector"

    labels: Mapping[str, str] = {}
    name: str = ""
    namespace: str = ""
    cluster: str = ""
    workspace: str = ""


class WorkloadKind(enum.StrEnum):
    """`common.gloo.solo.io.WorkloadSelector.WorkloadKind`"""

    KUBE = "KUBE"
    VM = "VM"


class PortSelector(ApiStruct, frozen=True):
    """`number` or `name`; with both, `number` wins and the object gets a warning (routing.md §2.3)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.PortSelector"

    number: UInt32 = 0
    name: str = ""


class WorkloadSelector(ApiStruct, frozen=True):
    """An absent `selector` selects nothing, an empty one everything (routing.md §3.2)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.WorkloadSelector"

    selector: ObjectSelector | None = None
    kind: WorkloadKind = WorkloadKind.KUBE
    port: PortSelector | None = None


class AWSFilterOptions(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "common.gloo.solo.io.AWSFilterOptions"

    account_ids: tuple[str, ...] = ()
    iam_roles: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    lambda_functions: tuple[str, ...] = ()


class CloudProviderFilterOptions(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "common.gloo.solo.io.CloudProviderFilterOptions"

    aws: AWSFilterOptions | None = None


class RouteFilter(ApiStruct, frozen=True):
    """Only routes with `awsLambda` can fail it (routing.md §2.5)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.RouteFilter"

    cloud_provider: CloudProviderFilterOptions | None = None


class ApprovalState(enum.StrEnum):
    """`common.gloo.solo.io.ApprovalState`"""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    INVALID = "INVALID"
    WARNING = "WARNING"
    FAILED = "FAILED"
    UNLICENSED = "UNLICENSED"


class State(ApiStruct, frozen=True):
    """What users and scripts see first: the fold of all problems of the object."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.State"

    observed_generation: Int64 = 0
    approval: ApprovalState = ApprovalState.PENDING
    message: str = ""


class Status(ApiStruct, frozen=True):
    """The reference writes a capital S in `State`, and scripts read exactly that path."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.Status"

    state: State | None = msgspec.field(default=None, name="State")
    workspace_conditions: Mapping[str, UInt32] = {}


class ObjectReference(ApiStruct, frozen=True):
    """`namespace` and `cluster` default to those of the object that holds the reference (routing.md §2.1)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.ObjectReference"

    name: str = ""
    namespace: str = ""
    cluster: str = ""


class DestinationKind(enum.StrEnum):
    """`common.gloo.solo.io.DestinationKind`"""

    SERVICE = "SERVICE"
    VIRTUAL_DESTINATION = "VIRTUAL_DESTINATION"
    EXTERNAL_SERVICE = "EXTERNAL_SERVICE"


class DestinationSelector(ApiStruct, frozen=True):
    """No `selector` means every available object of the kind (policies-traffic.md §1.2)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.DestinationSelector"

    selector: ObjectSelector | None = None
    kind: DestinationKind = DestinationKind.SERVICE
    port: PortSelector | None = None


class RequestTransformation(enum.StrEnum):
    """`common.gloo.solo.io.LambdaOptions.RequestTransformation`"""

    REQUEST_DEFAULT = "REQUEST_DEFAULT"
    REQUEST_DISABLE = "REQUEST_DISABLE"


class ResponseTransformation(enum.StrEnum):
    """`common.gloo.solo.io.LambdaOptions.ResponseTransformation`"""

    RESPONSE_DEFAULT = "RESPONSE_DEFAULT"
    RESPONSE_DISABLE = "RESPONSE_DISABLE"


class InvocationStyle(enum.StrEnum):
    """`common.gloo.solo.io.LambdaOptions.InvocationStyle`"""

    SYNC = "SYNC"
    ASYNC = "ASYNC"


class LambdaOptions(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "common.gloo.solo.io.LambdaOptions"

    request_transformation: RequestTransformation = RequestTransformation.REQUEST_DEFAULT
    response_transformation: ResponseTransformation = ResponseTransformation.RESPONSE_DEFAULT
    invocation_style: InvocationStyle = InvocationStyle.SYNC


class AWSLambdaReference(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "common.gloo.solo.io.AWSLambdaReference"

    cloud_provider: ObjectReference | None = None
    function: str = ""
    qualifier: str = ""
    options: LambdaOptions | None = None


class DestinationReference(ApiStruct, frozen=True):
    """Without `port` the destination must have exactly one; `weight` 0 is "not specified" (routing.md §6.1.4, §7.1)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.DestinationReference"

    ref: ObjectReference | None = None
    aws_lambda: AWSLambdaReference | None = None
    kind: DestinationKind = DestinationKind.SERVICE
    port: PortSelector | None = None
    subset: Mapping[str, str] = {}
    weight: UInt32 = 0


class StringMatch(ApiStruct, frozen=True):
    """`regex` is RE2 and matches the whole value; `suffix` makes the route misconfigured (R-4)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.StringMatch"

    exact: str = ""
    prefix: str = ""
    regex: str = ""
    suffix: str = ""
    ignore_case: bool = False


class HeaderMatcher(ApiStruct, frozen=True):
    """An empty `value` asks for presence; `regex` is RE2 and matches the whole value (routing.md §5.3)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.HeaderMatcher"

    name: str = ""
    value: str = ""
    regex: bool = False
    invert_match: bool = False


class QueryParameterMatcher(ApiStruct, frozen=True):
    """An empty `value` asks for presence; only the first occurrence counts (routing.md §5.4)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.HTTPRequestMatcher.QueryParameterMatcher"

    name: str = ""
    value: str = ""
    regex: bool = False


class HTTPRequestMatcher(ApiStruct, frozen=True):
    """All conditions are ANDed; `name` is accepted and ignored; `port` 0 means any (routing.md §5.1)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.HTTPRequestMatcher"

    name: str = ""
    uri: StringMatch | None = None
    headers: tuple[HeaderMatcher, ...] = ()
    query_parameters: tuple[QueryParameterMatcher, ...] = ()
    method: str = ""
    port: UInt32 = 0


class TCPRequestMatcher(ApiStruct, frozen=True):
    """`port` 0 means any tcp listener of the gateway (routing.md §8.1)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.TCPRequestMatcher"

    port: UInt32 = 0


class TLSRequestMatcher(ApiStruct, frozen=True):
    """`sni_hosts` must be covered by the hosts of the table (routing.md §8.2)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.TLSRequestMatcher"

    sni_hosts: tuple[str, ...] = ()
    port: UInt32 = 0


class PortalMetadata(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "common.gloo.solo.io.PortalMetadata"

    api_product_id: str = ""
    api_product_display_name: str = ""
    api_version: str = ""
    title: str = ""
    description: str = ""
    terms_of_service: str = ""
    contact: str = ""
    license: str = ""
    lifecycle: str = ""
    custom_metadata: Mapping[str, str] = {}


class ClientMode(ApiStruct, frozen=True):
    """Which end of an east-west connection speaks TLS to the pod (destinations.md §4.2)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.ClientMode"

    auto: Empty | None = None
    sni_routing: Empty | None = None
    tls_termination: Empty | None = None


class Locality(ApiStruct, frozen=True):
    """A zone without a region counts for nothing (destinations.md §2.2)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.Locality"

    region: str = ""
    zone: str = ""
    sub_zone: str = ""


class NamespaceSelector(ApiStruct, frozen=True):
    """Neither name nor labels selects nothing; `*` in `name` is any run of characters (workspaces.md §2.2)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.ClusterSelector.NamespaceSelector"

    name: str = ""
    config_enabled: bool | None = None
    labels: Mapping[str, str] = {}


class ClusterSelector(ApiStruct, frozen=True):
    """Neither name nor selector means every registered cluster; `namespaces` is required (W-6, W-7)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.ClusterSelector"

    name: str = ""
    selector: Mapping[str, str] = {}
    namespaces: tuple[NamespaceSelector, ...] = ()
    config_enabled: bool | None = None


class WorkspaceSelector(ApiStruct, frozen=True):
    """Neither name nor selector selects no workspace (W-34)."""

    PROTO: ClassVar[str] = "common.gloo.solo.io.WorkspaceSelector"

    name: str = ""
    selector: Mapping[str, str] = {}


class EnforcementLayers(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "common.gloo.solo.io.EnforcementLayers"

    cni: bool = False
    mesh: bool = False


class Condition(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "common.gloo.solo.io.Condition"

    type: str = ""
    status: str = ""
    observed_generation: Int64 = 0
    last_transition_time: str = ""
    reason: str = ""
    message: str = ""
