"""Service: a destination, or the front of a gateway workload."""

from collections.abc import Mapping

import msgspec

from fingerpost.api.base import ApiStruct, ObjectMeta


class ServicePort(ApiStruct, frozen=True):
    """`target_port` None: the same number as `port`; a string: the name of a container port."""

    name: str = ""
    protocol: str = "TCP"
    port: int = 0
    target_port: int | str | None = None
    node_port: int = 0
    app_protocol: str = ""

    @property
    def listening_port(self) -> int:
        """The number behind the Service; 0 when targetPort is a name, which only the pods can resolve."""
        if isinstance(self.target_port, str):
            return 0
        return self.target_port or self.port


class ServiceSpec(ApiStruct, frozen=True):
    type: str = "ClusterIP"
    selector: Mapping[str, str] = {}
    ports: tuple[ServicePort, ...] = ()
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    external_name: str = ""


class LoadBalancerIngress(ApiStruct, frozen=True):
    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(ApiStruct, frozen=True):
    ingress: tuple[LoadBalancerIngress, ...] = ()


class ServiceStatus(ApiStruct, frozen=True):
    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()
    api_version: str = "v1"
    kind: str = "Service"
