"""Approval of unknown agents (relay.md §4.3, M-27): for each that comes, a KubernetesCluster that a person accepts or
rejects.

The replica to which the agent is connected makes the object. The API server takes one of a name, so of several that try
one succeeds; from then on the object is the people's, and the server changes nothing in it but its status.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from fingerpost.api.admin.kubernetes_cluster import APPROVAL, CLUSTER_UID, REQUESTED_BY, Approval
from fingerpost.api.limits import CLUSTER_NAME, CLUSTER_NAME_RULE
from fingerpost.cluster.protocol import ClusterFailed, Outputs
from fingerpost.objects import ObjectKey
from mgmt.ingest.states import Registration
from mgmt.relay.ports import SessionInfo
from mgmt.status.errand import Errand

log = structlog.get_logger()
MOST = 100  # that nobody has decided on: who holds the shared token could ask under any number of names


def requests(knocking: Mapping[str, SessionInfo], named: Mapping[str, Registration]) -> list[SessionInfo]:
    """Of those that wait to take part, the ones for which an object is to be made: at most so many that `MOST` are
    undecided. Pure.
    """
    room = MOST - sum(registration.approval is Approval.PENDING for registration in named.values())
    unknown = [knocking[name] for name in sorted(knocking) if name not in named and re.fullmatch(CLUSTER_NAME, name)]
    return unknown[: max(room, 0)]


def requested_by(info: SessionInfo) -> str:
    """What a person judges by."""
    proof = f"certificate SHA-256 {info.certificate.fingerprint}" if info.certificate else "no certificate"
    return f"uid {info.cluster_uid or 'unknown'} at {info.peer}, {proof}"


def request_object(info: SessionInfo, namespace: str) -> dict[str, Any]:
    """The uid is bound with the name: a second cluster of this name is a conflict, also while nobody has decided."""
    annotations = {APPROVAL: Approval.PENDING.value, REQUESTED_BY: requested_by(info)}
    if info.cluster_uid:
        annotations[CLUSTER_UID] = info.cluster_uid
    return {"metadata": {"name": info.cluster, "namespace": namespace, "annotations": annotations}, "spec": {}}


class ApprovalRequests:
    """`look` when somebody has come, or an object has gone. `knocking()` and `named()`: see `mgmt.ingest.sessions`."""

    def __init__(
        self,
        outputs: Outputs,
        key: Callable[[str], ObjectKey],
        knocking: Callable[[], Mapping[str, SessionInfo]],
        named: Callable[[], Mapping[str, Registration]],
    ) -> None:
        self._outputs, self._key, self._knocking, self._named = outputs, key, knocking, named
        self._left_out: frozenset[str] = frozenset()
        errand = Errand(self._request_all)
        self.look, self.run = errand.look, errand.run

    async def _request_all(self) -> bool:
        wanted = requests(self._knocking(), self._named())
        self._complain({info.cluster for info in wanted})
        return all([await self._request(info) for info in wanted])

    async def _request(self, info: SessionInfo) -> bool:
        key = self._key(info.cluster)
        try:
            made = await self._outputs.create(key, request_object(info, key.namespace))
        except ClusterFailed as wrong:
            reason = f"{wrong}; the server needs the right to create it. It is tried again"
            log.warning("cluster.approval.unrequested", cluster=info.cluster, reason=reason)
            return False
        if made:
            log.info("cluster.approval.requested", cluster=info.cluster, reason=requested_by(info))
        return True

    def _complain(self, wanted: set[str]) -> None:
        """Once about each."""
        left_out = frozenset(name for name in self._knocking() if name not in self._named() and name not in wanted)
        for name in sorted(left_out - self._left_out):
            named = re.fullmatch(CLUSTER_NAME, name)
            reason = f"{MOST} others wait for a decision; accept or reject them" if named else CLUSTER_NAME_RULE
            log.warning("cluster.approval.left", cluster=name, reason=reason)
        self._left_out = left_out
