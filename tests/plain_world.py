"""What small worlds of tests have in common: two registered clusters and one workspace of everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fingerpost.objects import ObjectKey, canonical, trim, type_of
from mgmt.translate.graph.ownership import Place

PLACE = Place(cluster="mgmt", admin_namespace="gloo-mesh")
HOME = """
- {apiVersion: v1, kind: Namespace, metadata: {name: gloo-mesh}}
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: admin.gloo.solo.io/v2, kind: KubernetesCluster, metadata: {name: east, namespace: gloo-mesh}}
- {apiVersion: admin.gloo.solo.io/v2, kind: KubernetesCluster, metadata: {name: west, namespace: gloo-mesh}}
- apiVersion: admin.gloo.solo.io/v2
  kind: Workspace
  metadata: {name: all, namespace: gloo-mesh}
  spec: {workloadClusters: [{name: '*', namespaces: [{name: '*'}]}]}
"""


def key_of(cluster: str, obj: Mapping[str, Any]) -> ObjectKey:
    metadata = obj["metadata"]
    type_ = type_of(obj["apiVersion"], obj["kind"])
    return ObjectKey(type_, cluster, metadata.get("namespace", ""), metadata["name"])


def entry(cluster: str, obj: Mapping[str, Any]) -> tuple[ObjectKey, bytes]:
    key = key_of(cluster, obj)
    return key, canonical(trim(key.type, dict(obj)))
