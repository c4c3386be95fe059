"""KubernetesCluster: the name becomes a DNS name in certificates, so it must be one label (M-23)."""

from __future__ import annotations

from fingerpost.api.admin.kubernetes_cluster import KubernetesCluster, KubernetesClusterSpec
from fingerpost.api.limits import CLUSTER_NAME, CLUSTER_NAME_RULE, LONGEST_HOST
from fingerpost.crd.constraints import Constraints, Rule, limit
from fingerpost.crd.rules.common import is_host

NAME = f"cannot name a cluster; use {CLUSTER_NAME_RULE}"
DOMAIN = "is no DNS name; write one such as cluster.local"

RULES: Constraints = {
    KubernetesCluster: (
        limit(
            "metadata", properties={"name": {"type": "string"}}
        ),  # a rule can only be about a field that is described
        Rule(f"self.metadata.name.matches('^{CLUSTER_NAME}$')", NAME, about="metadata.name"),
    ),
    KubernetesClusterSpec: (
        limit("clusterDomain", maxLength=LONGEST_HOST),
        Rule(f"self == '' || {is_host()}", DOMAIN, at="clusterDomain"),
    ),
}
