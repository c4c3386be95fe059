"""What the server writes about KubernetesClusters: their statuses, the uid of the cluster that each stands for, and an
object for whoever asks to be accepted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Never

from fingerpost.cluster.protocol import Cluster, ClusterFailed
from fingerpost.objects import ObjectKey
from mgmt.ingest.ingest import Ingest
from mgmt.ingest.values import ClusterStates
from mgmt.status.approvals import ApprovalRequests
from mgmt.status.clusters import CONFLICT, cluster_status
from mgmt.status.ever import EverConnected
from mgmt.status.uids import ClusterUids
from mgmt.translate.graph.inputs import KUBERNETES_CLUSTER
from mgmt.translate.graph.ownership import Place
from mgmt.translate.status import Status

_AGAIN = 10.0  # seconds between two looks at clusters whose agent is gone


class KubernetesClusters:
    """`write(key, status)` takes a whole status, None: nothing is to be written; `ingest` begins later."""

    def __init__(
        self,
        folder: Cluster | None,
        place: Place,
        ingest: Callable[[], Ingest],
        write: Callable[[ObjectKey, Mapping[str, Any] | None], None] | None,
        *,
        require_approval: bool,
        ever: Path | None = None,
    ) -> None:
        """`ever` is a file to remember in. Raises ClusterFailed where approval is required and nobody can be asked."""
        self.ever = EverConnected(self._read, ever)
        self._folder, self._place, self._ingest, self._write = folder, place, ingest, write
        self._own: dict[ObjectKey, Status] = {}
        outputs = folder.outputs if folder else None
        if require_approval and outputs is None:
            raise ClusterFailed(
                "require_approval is true, and the management cluster is no API server, so this server can make no "
                "KubernetesCluster there; leave it out: an unknown agent waits until a person writes one there"
            )
        self._uids = ClusterUids(outputs, self.key, self._unannotated) if outputs else None
        self._requests = (
            ApprovalRequests(outputs, self.key, lambda: ingest().sessions.knocking, lambda: ingest().sessions.named)
            if require_approval and outputs
            else None
        )

    def _unannotated(self) -> Mapping[str, str]:
        return self._ingest().sessions.unannotated()

    def _read(self, name: str) -> Any:
        return self._folder.status(self.key(name)) if self._folder else None

    def key(self, name: str) -> ObjectKey:
        return ObjectKey(KUBERNETES_CLUSTER, self._place.cluster, self._place.admin_namespace, name)

    def found(self, statuses: Mapping[ObjectKey, Status | None]) -> None:
        """What the translator says of the objects alone; None: gone."""
        for key, status in statuses.items():
            if status is None:
                self._own.pop(key, None)
                if key == self.key(key.name):  # elsewhere it stands for no cluster
                    self.ever.forget(key.name)
            else:
                self._own[key] = status
        if statuses:
            self.put(self._ingest().states)

    def changed(self, states: ClusterStates) -> None:
        for name, state in states.clusters.items():
            if state.ready and state.replica:
                self.ever.saw(name)
        self.put(states)
        for task in (self._uids, self._requests):
            if task is not None:
                task.look()

    def put(self, states: ClusterStates) -> None:
        """A KubernetesCluster's status is about its agent, besides what is wrong with the object."""
        if self._write is None:
            return
        for key, own in self._own.items():
            if self._ingest().knows(key.name) or self._read(key.name) is None:
                self._write(key, self._status(key.name, own, states))
            else:  # what is said there may come from a replica that sees its agent
                self._write(key, None)

    def _status(self, name: str, own: Status | None, states: ClusterStates) -> dict[str, Any]:
        sessions = self._ingest().sessions
        registration = sessions.named.get(name)
        return cluster_status(
            own,
            states.clusters.get(name),
            ever=self.ever(name),
            now_unix_nanos=time.time_ns(),
            conflict=sessions.conflicts.get(name, ("", 0)),
            requested_by=registration.requested_by if registration else "",
        )

    def registration(self, name: str) -> Mapping[str, Any]:
        """The status of its KubernetesCluster, also where no API server keeps one."""
        return self._status(name, self._own.get(self.key(name)), self._ingest().states)

    def conflicts(self) -> Mapping[str, str]:
        """By cluster, what a second one of its name did not long ago."""
        since = time.time_ns() - CONFLICT * 1_000_000_000
        return {name: said for name, (said, at) in self._ingest().sessions.conflicts.items() if at > since}

    async def run(self) -> Never:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._again(), name="mgmt.clusters.look")
            if self._uids is not None:
                tasks.create_task(self._uids.run(), name="mgmt.clusters.uids")
            if self._requests is not None:
                self._ingest().sessions.knocked = self._requests.look
                tasks.create_task(self._requests.run(), name="mgmt.clusters.approvals")
        raise RuntimeError("KubernetesClusters are looked after no longer")

    async def _again(self) -> Never:
        while True:
            await asyncio.sleep(_AGAIN)
            self.put(self._ingest().states)
