"""Node: locality labels and the addresses of NodePort gateways (destinations.md §2.2, §2.3)."""

from fingerpost.api.base import ApiStruct, ObjectMeta


class NodeAddress(ApiStruct, frozen=True):
    type: str = ""  # InternalIP, ExternalIP, Hostname, ...
    address: str = ""


class NodeStatus(ApiStruct, frozen=True):
    addresses: tuple[NodeAddress, ...] = ()


class Node(ApiStruct, frozen=True):
    metadata: ObjectMeta
    status: NodeStatus = NodeStatus()
    api_version: str = "v1"
    kind: str = "Node"
