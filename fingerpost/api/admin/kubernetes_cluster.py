"""KubernetesCluster: a registered cluster, or one that asks to be."""

import enum
from collections.abc import Mapping
from typing import Any, ClassVar

from fingerpost.api.base import ApiStruct, ObjectMeta
from fingerpost.api.common import Condition, Status
from fingerpost.statuses import conditions, part

# The annotation that holds the UID of kube-system of the first cluster that came under this name (relay.md §4.3).
CLUSTER_UID = "relay.gloo.solo.io/cluster-uid"
# Whether the cluster may take part (relay.md §4.3). One without this annotation was registered by a person, so it may.
APPROVAL = "relay.gloo.solo.io/approval"
# Who asked: uid, peer and certificate of the agent for which the server made the object.
REQUESTED_BY = "relay.gloo.solo.io/requested-by"


class Approval(enum.StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


def approval_of(annotations: Mapping[str, str]) -> Approval | None:
    """None: nobody asked. A word that is none of ours admits nobody."""
    said = annotations.get(APPROVAL)
    if said is None:
        return None
    return Approval(said) if said in tuple(Approval) else Approval.PENDING


def state_of(status: Any) -> Mapping[str, Any]:
    """`approval` and `message`, of a status as it is written."""
    return part(status, "common", "State")


def holding(status: Any, kind: str) -> list[dict[str, Any]]:
    """The conditions of this type that hold."""
    return [c for c in conditions(status) if c["type"] == kind and c["status"] == "True"]


def is_accepted(status: Any) -> bool:
    """By an agent that is connected now: the status of one that has just gone says ACCEPTED too."""
    good = state_of(status).get("approval") == "ACCEPTED"
    return bool(good and holding(status, "Connected") and holding(status, "Warm"))


class KubernetesClusterSpec(ApiStruct, frozen=True):
    """An empty `cluster_domain` means cluster.local (relay.md §4.1)."""

    PROTO: ClassVar[str] = "admin.gloo.solo.io.KubernetesClusterSpec"

    cluster_domain: str = ""
    skip_warming: bool = False


class KubernetesClusterStatus(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "admin.gloo.solo.io.KubernetesClusterStatus"

    common: Status | None = None
    conditions: tuple[Condition, ...] = ()


class KubernetesCluster(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: KubernetesClusterSpec = KubernetesClusterSpec()
    status: KubernetesClusterStatus = KubernetesClusterStatus()
    api_version: str = "admin.gloo.solo.io/v2"
    kind: str = "KubernetesCluster"
