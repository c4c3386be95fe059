"""The status of KubernetesClusters: is the agent there, was it ever (relay.md §4.1, M-25). Pure but for the memory of
who was ever seen.
"""

from __future__ import annotations

import datetime
from typing import Any

from fingerpost.api.admin.kubernetes_cluster import Approval
from fingerpost.api.common import ApprovalState
from mgmt.ingest.values import ClusterState, State
from mgmt.translate.status import Status

GRACE = 30  # seconds without an agent before a cluster is FAILED
CONFLICT = 300  # seconds after the last attempt of a second cluster; an agent tries at least every minute
_CONNECTED = (State.SYNCING, State.WARM)
_REASONS = {
    Approval.PENDING: "WaitingForApproval",
    Approval.ACCEPTED: "Accepted",
    Approval.REJECTED: "Rejected",
}


def cluster_status(
    own: Status | None,
    state: ClusterState | None,
    *,
    ever: bool,
    now_unix_nanos: int,
    conflict: tuple[str, int] = ("", 0),
    requested_by: str = "",
) -> dict[str, Any]:
    """`own` is what the translator found wrong with the object; a mistake there wins over the agent's state.

    `conflict`: what a second cluster of this name did last, and when. `requested_by`: the agent for which the server
    made the object.
    """
    approval: ApprovalState
    state = state or ClusterState(state=State.REGISTERED, ready=False)
    connected, since = state.state in _CONNECTED, state.since
    if own is not None and own.approval is not ApprovalState.ACCEPTED:
        approval, message = own.approval, own.message
    elif state.approval is Approval.REJECTED:
        approval, message = ApprovalState.FAILED, "rejected; fingerpost cluster accept takes that back"
    elif state.approval is Approval.PENDING:
        approval, message = ApprovalState.PENDING, f"not accepted: fingerpost cluster accept, or reject: {requested_by}"
    elif state.state is State.WARM:
        approval, message = ApprovalState.ACCEPTED, ""
    elif not ever:
        approval, message = ApprovalState.PENDING, "no agent has connected yet"
    elif connected:
        approval, message = ApprovalState.PENDING, "the agent is connected, its first listing is not complete"
    elif now_unix_nanos - since > GRACE * 1_000_000_000:
        approval, message = ApprovalState.FAILED, f"no agent since {_time(since)}"
    else:
        approval, message = ApprovalState.ACCEPTED, f"the agent disconnected at {_time(since)}"
    conditions = [
        _condition("Connected", connected, since),
        _condition("Warm", state.state is State.WARM, since),
        _condition("EverConnected", ever, 0),
    ]
    if conflict[0]:
        holds = now_unix_nanos - conflict[1] < CONFLICT * 1_000_000_000
        conditions.append(_condition("Conflict", holds, conflict[1]) | {"reason": "Duplicate", "message": conflict[0]})
    if state.approval is not None:
        accepted = state.approval is Approval.ACCEPTED
        conditions.append(
            _condition("Accepted", accepted, 0) | {"reason": _REASONS[state.approval], "message": requested_by}
        )
    if state.certificate_ends:
        valid, ends = now_unix_nanos < state.certificate_ends, f"until {_time(state.certificate_ends)}"
        conditions.append(_condition("ClientCertificateValid", valid, 0) | {"message": ends})
    generation = own.observed_generation if own else 0
    common = {"State": {"observedGeneration": generation, "approval": approval.value, "message": message}}
    return {"common": common, "conditions": conditions}


def _condition(kind: str, holds: bool, since: int) -> dict[str, Any]:
    out: dict[str, Any] = {"type": kind, "status": "True" if holds else "False"}
    return out | ({"lastTransitionTime": _time(since)} if since else {})


def _time(unix_nanos: int) -> str:
    at = datetime.datetime.fromtimestamp(unix_nanos // 1_000_000_000, datetime.UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if unix_nanos else "the start of this server"
