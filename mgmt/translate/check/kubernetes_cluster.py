"""KubernetesCluster: the name becomes a DNS name in certificates, so it must be one label (relay.md §4.1)."""

from __future__ import annotations

import re

from fingerpost.api.admin.kubernetes_cluster import KubernetesCluster
from fingerpost.api.limits import CLUSTER_NAME, CLUSTER_NAME_RULE
from fingerpost.problems import Reporter
from mgmt.translate.check.rules import refuse
from mgmt.translate.routing.hosts import host_problem

_NAME = re.compile(CLUSTER_NAME)


def check(cluster: KubernetesCluster, report: Reporter) -> None:
    name = cluster.metadata.name or report.ref.name
    if not _NAME.fullmatch(name):
        refuse(report, "metadata.name", f'"{name}" cannot name a cluster; use {CLUSTER_NAME_RULE}')
    domain = cluster.spec.cluster_domain
    if domain and ("*" in domain or host_problem(domain)):
        refuse(report, "spec.clusterDomain", f'"{domain}" is no DNS name; write one such as cluster.local')
