"""The state of a KubernetesCluster follows its agent (relay.md §4.1)."""

from __future__ import annotations

import pytest

from fingerpost.api.common import ApprovalState
from mgmt.ingest.values import ClusterState, State
from mgmt.status.clusters import GRACE, cluster_status
from mgmt.translate.status import Status

_SECOND = 1_000_000_000
_LEFT = 1_700_000_000 * _SECOND  # 2023-11-14T22:13:20Z


def approval(state: State, *, ever: bool = True, seconds_later: float = 0) -> tuple[str, str]:
    found = cluster_status(
        None,
        ClusterState(state=state, ready=True, since=_LEFT),
        ever=ever,
        now_unix_nanos=_LEFT + int(seconds_later * _SECOND),
    )
    said = found["common"]["State"]
    return said["approval"], said["message"]


@pytest.mark.spec("M-25")
def test_accepted_while_connected_failed_when_gone_for_long_pending_when_never_seen() -> None:
    assert approval(State.WARM, seconds_later=3600) == ("ACCEPTED", "")
    assert approval(State.REGISTERED, ever=False) == ("PENDING", "no agent has connected yet")
    assert approval(State.CACHED, seconds_later=GRACE - 1)[0] == "ACCEPTED"
    failed = approval(State.CACHED, seconds_later=GRACE + 1)
    assert failed == ("FAILED", "no agent since 2023-11-14T22:13:20Z")
    assert approval(State.SYNCING)[0] == "PENDING"


@pytest.mark.spec("M-25")
def test_a_mistake_in_the_object_wins_over_what_its_agent_does() -> None:
    own = Status(approval=ApprovalState.INVALID, message="wrong", observed_generation=2)
    state = ClusterState(state=State.WARM, ready=True)
    found = cluster_status(own, state, ever=True, now_unix_nanos=_LEFT)
    assert found["common"]["State"] == {"observedGeneration": 2, "approval": "INVALID", "message": "wrong"}
