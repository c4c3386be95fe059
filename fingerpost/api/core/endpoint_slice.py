"""EndpointSlice: the only source of readiness (destinations.md §2.1)."""

from fingerpost.api.base import ApiStruct, ObjectMeta

SERVICE_LABEL = "kubernetes.io/service-name"


class EndpointConditions(ApiStruct, frozen=True):
    """Unknown counts as true for `ready` and `serving`, as Kubernetes defines it."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None

    @property
    def is_ready(self) -> bool:
        return self.ready is not False


class TargetRef(ApiStruct, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Endpoint(ApiStruct, frozen=True):
    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    node_name: str = ""
    zone: str = ""
    target_ref: TargetRef | None = None


class EndpointPort(ApiStruct, frozen=True):
    """`name` is the name of the Service port it belongs to."""

    name: str = ""
    protocol: str = "TCP"
    port: int = 0
    app_protocol: str = ""


class EndpointSlice(ApiStruct, frozen=True):
    metadata: ObjectMeta
    address_type: str = "IPv4"
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
    api_version: str = "discovery.k8s.io/v1"
    kind: str = "EndpointSlice"

    @property
    def service_name(self) -> str:
        """Empty for a slice that belongs to no Service."""
        return self.metadata.labels.get(SERVICE_LABEL, "")
