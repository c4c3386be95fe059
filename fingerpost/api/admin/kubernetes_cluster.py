"""KubernetesCluster: a registered cluster."""

from typing import ClassVar

from fingerpost.api.base import ApiStruct, ObjectMeta
from fingerpost.api.common import Condition, Status

# The annotation that holds the UID of kube-system of the first cluster that came under this name (relay.md §4.3).
CLUSTER_UID = "relay.gloo.solo.io/cluster-uid"


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
