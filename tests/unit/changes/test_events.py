"""Events: each thing that happens is told once."""

from __future__ import annotations

from typing import Any, cast

import pytest

from fingerpost.relay.applied import ScopeApplied, ScopeException
from mgmt.changes.events import Events
from mgmt.happenings import Happenings
from mgmt.ingest.values import ClusterState, ClusterStates, State
from mgmt.publish.guard import Held
from mgmt.relay.ports import SessionInfo

WWW = "networking.gloo.solo.io/RouteTable/mgmt/shop/www"


class World:
    def __init__(self) -> None:
        self.events = Events(lambda: 1000)
        self.happenings = Happenings(self.events)
        self._read = 0

    def new(self) -> list[tuple[str, str, str]]:
        found = self.events.since(self._read)
        self._read = found[-1].at if found else self._read
        return [(e.kind.value, e.cluster, e.about) for e in found]


def session(cluster: str) -> SessionInfo:
    return SessionInfo(
        cluster=cluster,
        cluster_uid="u",
        instance="i",
        version="1",
        role="leader",
        features=frozenset(),
        types=(),
        peer="p",
        control=cast(Any, None),
    )


def test_events_have_growing_ids_even_when_the_clock_stands() -> None:
    events = Events(lambda: 5, kept=3)
    happenings = Happenings(events)
    for _ in range(5):
        happenings.store(lost=True)
    assert [e.at for e in events.since()] == [7, 8, 9]
    assert events.since(9) == []


def test_a_session_that_ends_is_a_disconnect_and_one_that_never_began_a_refusal() -> None:
    world = World()
    world.happenings.opened("east", session("east"))
    world.happenings.ended("east", "p", "the agent closed the stream")
    world.happenings.ended("east", "p2", "another cluster has its name")
    world.happenings.ended("", "p3", "no Hello came")
    assert world.new() == [("Connected", "east", ""), ("Disconnected", "east", ""), ("Refused", "east", "")]


def test_a_rejection_is_told_when_it_begins_when_its_reason_changes_and_when_it_ends() -> None:
    world = World()

    def say(*exceptions: ScopeException) -> list[tuple[str, str, str]]:
        world.happenings.applied("east", [ScopeApplied(scope="gw/one", watermark=1, exceptions=exceptions)])
        return world.new()

    refused = ScopeException(contribution=WWW, code="Refused", message="no")
    assert say() == []
    assert say(refused) == [("Rejected", "east", WWW)]
    assert say(refused) == []
    assert say(ScopeException(contribution=WWW, code="Refused", message="never")) == [("Rejected", "east", WWW)]
    assert say() == [("Accepted", "east", WWW)]
    assert say(ScopeException(contribution=WWW, code="Kept", message="x")) == [("Held", "east", WWW)]
    assert say() == [("Released", "east", WWW)]


def test_holds_of_warm_up_and_of_guards_begin_and_end() -> None:
    world = World()
    for ready in (False, False, True):
        states = ClusterStates(clusters={"east": ClusterState(state=State.SYNCING, ready=ready)})
        world.happenings.states(states, hold=True)
    assert world.new() == [("Held", "east", ""), ("Released", "east", "")]
    held = Held(frozenset({WWW}), frozenset({"mgmt"}), 1)
    for now in ({}, {"east/gw/one": held}, {"east/gw/one": held}, {}):
        world.happenings.held(now)
    assert world.new() == [("Held", "east", "gw/one"), ("Released", "east", "gw/one")]


@pytest.mark.parametrize("state", [State.REGISTERED, State.CACHED, State.WARM])
def test_that_redis_is_waited_for_is_no_hold_of_each_cluster(state: State) -> None:
    world = World()
    states = ClusterStates(clusters={"east": ClusterState(state=state, ready=False)})
    world.happenings.states(states, hold=True)
    assert world.new() == []


def test_the_first_certificate_is_no_rotation() -> None:
    world = World()
    for fingerprint in ("aa", "aa", "bb"):
        world.happenings.certificate("east", "client", fingerprint)
        world.happenings.certificate("", "server", "cc")
    assert world.new() == [("Rotated", "east", "client certificate")]


def test_a_leader_is_told_once() -> None:
    world = World()
    for now in (False, True, True, False):
        world.happenings.leads(now)
    assert [kind for kind, *_ in world.new()] == ["Leading", "Following"]
