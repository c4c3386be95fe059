"""Which clusters a replica calls warm: the alert of the chart looks at every 0 by itself."""

from __future__ import annotations

import pytest

from mgmt.ingest.liveness import warmed
from mgmt.ingest.values import ClusterState, State


@pytest.mark.spec("M-75")
def test_a_replica_says_nothing_of_agents_of_another_one() -> None:
    clusters = {
        "here": ClusterState(state=State.WARM, ready=True),
        "late": ClusterState(state=State.SYNCING, ready=False),
        "left": ClusterState(state=State.CACHED, ready=True),
        "elsewhere": ClusterState(state=State.WARM, ready=True),
        "left elsewhere": ClusterState(state=State.CACHED, ready=True),
    }
    found = {labels["cluster"]: value for value, labels in warmed(clusters, lambda name: "elsewhere" in name)}
    assert found == {"here": 1, "late": 0, "left": 0, "left elsewhere": 0}
    assert list(warmed({}, lambda _: False)) == [], "a cluster that is registered no longer"
