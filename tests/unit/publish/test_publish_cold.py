"""Safe mode at the gateways of a cluster that has not told everything yet: whatever they hold stays."""

from __future__ import annotations

import pytest
from publish_support import EAST, WEST, Plane, gateway_class, tables

from fingerpost.relay.pieces import KEEP_CLUSTER
from fingerpost.relay.v1 import relay_pb2 as pb
from mgmt.relay.scope_frames import Keep
from mgmt.translate.turn import Turn

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


@pytest.mark.spec("M-45")
def test_gateways_that_are_told_the_same_share_it() -> None:
    """It may be long, and is encoded once for all of them."""
    plane = Plane()
    plane.publisher.set_cold({"east"}, {"mgmt", "east", "west", "north"})
    plane.serve(ONE, tables(2), gateways=(EAST, WEST, ("north", "gw/ingress")))
    plane.publisher.publish(Turn(warming={ONE: {tables(1)[0]: "WaitingForCluster: east"}}), 5)
    west, north = plane.scope(WEST).keep, plane.scope(("north", "gw/ingress")).keep
    assert west == {tables(1)[0]: "WaitingForCluster: east"}
    assert west is north
    assert plane.scope(EAST).keep == {**plane.scope(EAST).keep, **west}
    late = ("south", "gw/ingress")
    plane.serve(ONE, tables(2), gateways=(EAST, WEST, ("north", "gw/ingress"), late))
    assert plane.scope(late).keep is west, "also who comes later"
    assert isinstance(west, Keep)
    assert west.blocks is west.blocks
    cold = plane.scope(EAST).keep
    assert isinstance(cold, Keep)
    assert cold.blocks[: len(west.blocks)] == west.blocks, "what it keeps besides is said after that"
    said = [k for block in cold.blocks for k in pb.ScopeDelta.FromString(block).keep]
    assert {k.contribution: k.reason for k in said} == cold
    (told,) = west.blocks
    assert pb.ScopeDelta.FromString(told).keep[0].contribution == tables(1)[0]
