"""KubernetesCluster: the name becomes a DNS name in certificates, so it must be one label (relay.md §4.1)."""

from __future__ import annotations

import re

from fingerpost.api.admin.kubernetes_cluster import KubernetesCluster
from fingerpost.problems import Reporter
from mgmt.translate.check.rules import refuse
from mgmt.translate.routing.hosts import host_problem

_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")


def check(cluster: KubernetesCluster, report: Reporter) -> None:
    name = cluster.metadata.name or report.ref.name
    if not _NAME.fullmatch(name):
        message = (
            f'"{name}" cannot name a cluster; use 1 to 63 lower-case letters, digits and -, beginning with a letter'
        )
        refuse(report, "metadata.name", message)
    domain = cluster.spec.cluster_domain
    if domain and ("*" in domain or host_problem(domain)):
        refuse(report, "spec.clusterDomain", f'"{domain}" is no DNS name; write one such as cluster.local')
