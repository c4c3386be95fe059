"""Who asks to be accepted gets a KubernetesCluster, and waits (relay.md §4.3)."""

from __future__ import annotations

from typing import Any

import pytest

from fingerpost.api.admin.kubernetes_cluster import APPROVAL, CLUSTER_UID, REQUESTED_BY, Approval, approval_of
from mgmt.ingest.states import Registration
from mgmt.ingest.values import ClusterState, State
from mgmt.relay.ports import SessionInfo, ShownCertificate
from mgmt.status.approvals import MOST, request_object, requests
from mgmt.status.clusters import cluster_status


class NoControl:
    def close(self, *_: Any, **__: Any) -> None: ...

    def relist(self, *_: Any) -> None: ...


def agent(cluster: str, certificate: ShownCertificate | None = None) -> SessionInfo:
    return SessionInfo(
        cluster=cluster,
        cluster_uid=f"uid-{cluster}",
        instance="i",
        version="1",
        role="leader",
        features=frozenset(),
        types=(),
        peer="ipv4:192.0.2.7:5000",
        control=NoControl(),
        certificate=certificate,
    )


def asked(*names: str, named: dict[str, Registration] | None = None) -> list[str]:
    return [info.cluster for info in requests({name: agent(name) for name in names}, named or {})]


@pytest.mark.spec("M-27")
def test_an_object_is_made_for_who_has_none() -> None:
    assert asked("west", "east") == ["east", "west"]
    for approval in (None, *Approval):
        assert asked("east", named={"east": Registration(approval=approval)}) == []
    assert asked("No_Name") == [], "a name that no KubernetesCluster can have"


def test_whoever_has_the_token_cannot_fill_the_management_cluster() -> None:
    many = [f"c{number:03}" for number in range(2 * MOST)]
    assert len(asked(*many)) == MOST
    undecided = {f"u{number}": Registration(approval=Approval.PENDING) for number in range(MOST - 1)}
    assert len(asked(*many, named=undecided)) == 1
    decided = {name: Registration(approval=Approval.REJECTED) for name in undecided}
    assert len(asked(*many, named=decided)) == MOST


@pytest.mark.spec("M-27")
def test_the_object_names_uid_address_and_certificate() -> None:
    found = request_object(agent("east", ShownCertificate("ab12", 1, 2)), "gloo-mesh")["metadata"]
    assert (found["name"], found["namespace"]) == ("east", "gloo-mesh")
    said = found["annotations"]
    assert (said[APPROVAL], said[CLUSTER_UID]) == ("pending", "uid-east")
    assert said[REQUESTED_BY] == "uid uid-east at ipv4:192.0.2.7:5000, certificate SHA-256 ab12"


def test_a_word_that_is_none_of_ours_admits_nobody() -> None:
    assert approval_of({}) is None
    assert approval_of({APPROVAL: "accepted"}) is Approval.ACCEPTED
    assert approval_of({APPROVAL: "Accepted!"}) is approval_of({APPROVAL: ""}) is Approval.PENDING


@pytest.mark.spec("M-27")
@pytest.mark.parametrize(
    ("approval", "state", "condition", "said"),
    [
        (Approval.PENDING, State.PENDING, ("False", "WaitingForApproval"), ("PENDING", "not accepted")),
        (Approval.REJECTED, State.PENDING, ("False", "Rejected"), ("FAILED", "rejected")),
        (Approval.ACCEPTED, State.WARM, ("True", "Accepted"), ("ACCEPTED", "")),
    ],
)
def test_the_condition(approval: Approval, state: State, condition: tuple[str, str], said: tuple[str, str]) -> None:
    at = ClusterState(state=state, ready=True, approval=approval)
    found = cluster_status(None, at, ever=False, now_unix_nanos=1, requested_by="uid u at p, no certificate")
    (accepted,) = [c for c in found["conditions"] if c["type"] == "Accepted"]
    assert (accepted["status"], accepted["reason"]) == condition
    assert accepted["message"] == "uid u at p, no certificate"
    told = found["common"]["State"]
    assert told["approval"] == said[0]
    assert told["message"].startswith(said[1])


def test_of_who_never_asked_nothing_is_said() -> None:
    found = cluster_status(None, ClusterState(state=State.WARM, ready=True), ever=True, now_unix_nanos=1)
    assert "Accepted" not in {c["type"] for c in found["conditions"]}
