"""How the scopes of a cluster are named that are no gateway's, and an object of the cluster among their resources: its
status, or the object itself.
"""

from __future__ import annotations

from typing import Final

from fingerpost.objects import ObjectKey

CLUSTER_SCOPE: Final = ""  # statuses of users' objects
ISTIO_SCOPE: Final = "istio"  # all Istio objects of the cluster; a gateway's scope is "<namespace>/<name>"
OBJECT: Final = "object"  # the type of a resource that is an object for the cluster's API server
STATUS: Final = "status"  # of a user's object there


def name_of(key: ObjectKey) -> str:
    return f"{key.type}/{key.namespace}/{key.name}"


def key_of(cluster: str, name: str) -> ObjectKey:
    group, kind, namespace, object_name = name.split("/", 3)
    return ObjectKey(f"{group}/{kind}", cluster, namespace, object_name)
