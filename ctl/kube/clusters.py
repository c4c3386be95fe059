"""The clusters that are registered, without asking a management server."""

from __future__ import annotations

from ctl.contexts import Context
from ctl.flags import current
from ctl.kube.accepted import CLUSTERS
from ctl.kube.api import Place, opened


async def registered(context: Context) -> dict[str, dict[str, str]]:
    """The labels of each KubernetesCluster, by its name. Raises Failed."""
    async with opened(Place.of(context)) as kube:
        found = await kube.items(CLUSTERS.format(context.namespace or current().admin_namespace))
    return {obj["metadata"]["name"]: obj["metadata"].get("labels") or {} for obj in found}
