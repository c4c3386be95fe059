"""Writes down which cluster a KubernetesCluster stands for: the uid of the first that came under its name (relay.md
§4.3), as an annotation, so that it outlives Redis and a person can change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from fingerpost.api.admin.kubernetes_cluster import CLUSTER_UID
from fingerpost.cluster.protocol import ClusterFailed, Outputs
from fingerpost.objects import ObjectKey
from mgmt.status.errand import Errand

log = structlog.get_logger()


class ClusterUids:
    """`unwritten()` gives, by cluster, the uid of those connected here whose KubernetesCluster names none."""

    def __init__(
        self, outputs: Outputs, key: Callable[[str], ObjectKey], unwritten: Callable[[], Mapping[str, str]]
    ) -> None:
        self._outputs, self._key, self._unwritten = outputs, key, unwritten
        errand = Errand(self._write)
        self.look, self.run = errand.look, errand.run

    async def _write(self) -> bool:
        written = True
        for cluster, uid in self._unwritten().items():
            try:
                await self._outputs.annotate(self._key(cluster), {CLUSTER_UID: uid})
            except ClusterFailed as wrong:
                written = False
                reason = f"{wrong}; the server needs the right to patch it. It is tried again"
                log.warning("cluster.uid.unwritten", cluster=cluster, reason=reason)
        return written
