"""Safe mode at the gateways of a cluster that has not told everything yet: whatever they hold stays."""

from __future__ import annotations

import pytest
from publish_support import EAST, WEST, Plane, gateway_class, tables

from fingerpost.relay.pieces import KEEP_CLUSTER

ONE = gateway_class("one")


@pytest.mark.spec("M-45")
def test_a_gateway_of_a_cold_cluster_keeps_what_it_has_from_everywhere() -> None:
    plane = Plane()
    plane.publisher.set_cold({"east"}, {"mgmt", "east", "west"})
    plane.serve(ONE, tables(2), gateways=(EAST, WEST))
    assert plane.scope(EAST).keep == {
        f"{KEEP_CLUSTER}{home}": "WaitingForCluster: east" for home in ("mgmt", "east", "west")
    }
    assert plane.scope(WEST).keep == {}
    plane.publisher.set_cold((), {"mgmt", "east", "west"})
    plane.serve(ONE, tables(3))
    assert plane.scope(EAST).keep == {}


@pytest.mark.spec("M-45")
def test_what_agents_are_asked_for_is_partial_while_a_cluster_is_cold() -> None:
    plane = Plane()
    plane.serve(ONE, tables(2), gateways=(EAST, WEST))
    plane.watch("west")
    plane.publisher.set_cold({"east"}, {"mgmt", "east", "west"})
    assert plane.publisher.interest("west").partial
    assert plane.woken == ["west"]
    plane.publisher.set_cold((), {"mgmt", "east", "west"})
    assert not plane.publisher.interest("west").partial
    assert plane.woken == ["west", "west"]
