"""Pod: identity, labels for subsets, readiness, and whether it is a gateway or has a sidecar."""

import msgspec

from fingerpost.api.base import ApiStruct, ObjectMeta


class ContainerPort(ApiStruct, frozen=True):
    name: str = ""
    container_port: int = 0
    protocol: str = "TCP"


class Container(ApiStruct, frozen=True):
    name: str = ""
    args: tuple[str, ...] = ()
    ports: tuple[ContainerPort, ...] = ()


class PodSpec(ApiStruct, frozen=True):
    service_account_name: str = "default"
    node_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()  # a native sidecar is one of these


class PodIP(ApiStruct, frozen=True):
    ip: str = ""


class PodCondition(ApiStruct, frozen=True):
    type: str = ""
    status: str = ""


class PodStatus(ApiStruct, frozen=True):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: tuple[PodIP, ...] = msgspec.field(default=(), name="podIPs")
    conditions: tuple[PodCondition, ...] = ()

    @property
    def is_ready(self) -> bool:
        return any(c.type == "Ready" and c.status == "True" for c in self.conditions)


class Pod(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()
    api_version: str = "v1"
    kind: str = "Pod"
