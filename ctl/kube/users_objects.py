"""How many objects of users there are: what an uninstall with the kinds would destroy."""

from __future__ import annotations

from ctl.kube.api import Kube
from fingerpost.api.kinds import KINDS

_CLUSTERS = "KubernetesCluster"


async def count(kube: Kube) -> tuple[int, int]:
    """(KubernetesClusters, all others). Raises ApiFailed."""
    clusters = objects = 0
    for kind in KINDS:
        if not (kind.written_by_users and kind.group.endswith("solo.io")):
            continue
        path = f"/apis/{kind.group}/{kind.version}/{kind.plural}"
        # the API server tells what is left beyond the first one
        found = await kube.find(f"{path}", {"limit": "1"})
        if found is None:
            continue
        number = len(found["items"] or ()) + int(found["metadata"].get("remainingItemCount") or 0)
        if kind.kind == _CLUSTERS:
            clusters += number
        else:
            objects += number
    return clusters, objects
