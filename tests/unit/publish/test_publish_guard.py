"""A large loss is held until the clusters concerned have been listed anew, or a person says that it is meant."""

from __future__ import annotations

import pytest
from publish_support import (
    CART,
    EAST,
    EDGE,
    ENDPOINTS,
    LISTENER,
    WEST,
    Plane,
    endpoints,
    gateway_class,
    listener,
    table,
    tables,
)

from fingerpost.relay.applied import ScopeApplied, ScopeException
from mgmt.publish.guard import GuardSettings

ONE, TWO, EMPTY = gateway_class("one"), gateway_class("two"), gateway_class("empty")


def serving(count: int, guard: GuardSettings | None = None) -> Plane:
    plane = Plane(guard or GuardSettings())
    plane.serve(ONE, tables(count), gateways=(EAST, WEST), extra={LISTENER: listener()})
    return plane


def held(plane: Plane) -> frozenset[str]:
    return frozenset(plane.scope().keep)


@pytest.mark.parametrize(
    ("before", "after", "is_held"), [(30, 15, False), (30, 14, True), (18, 9, False), (12, 3, False)]
)
def test_a_loss_counts_as_large_from_half_and_ten(before: int, after: int, is_held: bool) -> None:
    plane = serving(before)
    plane.serve(ONE, tables(after))
    assert held(plane) == (frozenset(tables(before)[after:]) if is_held else frozenset())
    assert plane.relists == ([frozenset({"mgmt"})] if is_held else [])
    assert plane.scope(EAST).keep == plane.scope(WEST).keep


def test_the_last_contribution_of_a_gateway_is_held_however_few_there_were() -> None:
    plane = serving(1)
    plane.serve(ONE, ())
    assert held(plane) == {table(0)}
    assert "waiting for a new listing of mgmt" in plane.scope().keep[table(0)]


def test_the_limits_can_be_set() -> None:
    plane = serving(10, GuardSettings(share=0.2, floor=3))
    plane.serve(ONE, tables(7))
    assert held(plane) == set(tables(10)[7:])


def test_a_listing_that_agrees_lets_the_loss_out_confirmed() -> None:
    plane = serving(20)
    plane.watch("east")
    plane.serve(ONE, tables(1))
    assert not plane.scope().confirmed
    plane.woken.clear()
    plane.agree("mgmt")
    assert (held(plane), plane.scope().confirmed, plane.woken) == (frozenset(), True, ["east"])
    assert plane.publisher.held == {}


def test_every_cluster_concerned_has_to_agree() -> None:
    plane = Plane()
    mixed = [table(n, cluster) for n in range(10) for cluster in ("east", "west")]
    plane.serve(ONE, mixed, gateways=(EAST,))
    plane.serve(ONE, ())
    assert plane.relists == [frozenset({"east", "west"})]
    plane.agree("east")
    assert held(plane) == set(mixed)
    plane.agree("mgmt")  # not concerned
    assert held(plane) == set(mixed)
    plane.agree("west")
    assert held(plane) == frozenset()


def test_a_later_loss_does_not_let_go_an_earlier_one() -> None:
    plane = Plane()
    easts, wests = [table(n, "east") for n in range(25)], [table(n, "west") for n in range(12)]
    plane.serve(ONE, easts + wests, gateways=(EAST,))
    plane.serve(ONE, wests)
    plane.serve(ONE, ())
    assert plane.relists == [frozenset({"east"}), frozenset({"west"})]
    plane.agree("west")
    assert set(easts) <= held(plane)
    plane.agree("east")
    assert held(plane) == frozenset()


def test_a_listing_that_brings_everything_back_heals_without_a_confirmation() -> None:
    plane = serving(20)
    plane.serve(ONE, ())
    plane.serve(ONE, tables(20))
    assert (held(plane), plane.scope().confirmed) == (frozenset(), False)


def test_what_comes_back_in_part_leaves_the_rest_held() -> None:
    plane = serving(20)
    plane.serve(ONE, ())
    plane.serve(ONE, tables(5))
    assert set(tables(20)[5:]) <= held(plane)
    plane.agree("mgmt")
    assert held(plane) == frozenset()


def test_a_confirmation_does_not_cover_the_next_loss() -> None:
    plane = serving(40)
    plane.serve(ONE, tables(15))
    plane.agree("mgmt")
    plane.serve(ONE, tables(1))
    assert held(plane) == set(tables(15)[1:])
    assert not plane.scope().confirmed


def test_endpoints_that_shrink_are_held_and_asked_of_every_cluster() -> None:
    plane = Plane()
    plane.serve(ONE, tables(1), gateways=(EAST, WEST), extra={ENDPOINTS: endpoints(12)})
    plane.serve(ONE, tables(1), extra={ENDPOINTS: endpoints(1)})
    assert held(plane) == {CART}
    assert plane.relists == [frozenset({"east", "west"})]


def test_endpoints_that_go_with_their_last_route_are_no_loss_of_their_own() -> None:
    plane = Plane()
    plane.serve(ONE, tables(2), gateways=(EAST,), extra={ENDPOINTS: endpoints(12)})
    plane.serve(ONE, tables(1), extra={ENDPOINTS: None})
    assert held(plane) == frozenset()


def test_a_gateway_that_loses_its_listeners_keeps_them_and_the_tables() -> None:
    """Without the VirtualGateway it is of another class, one without anything."""
    plane = serving(2)
    plane.serve(EMPTY, (), gateways=(EAST,))
    assert held(plane) == {*tables(2), EDGE}
    assert plane.relists == [frozenset({"mgmt", "east"})]
    assert plane.scope(WEST).keep == {}
    plane.agree("mgmt")
    plane.agree("east")
    assert (held(plane), plane.scope().confirmed) == (frozenset(), True)


def test_gateways_of_several_clusters_move_for_what_they_share() -> None:
    """So a cluster whose agent is away does not keep the others waiting."""
    plane = serving(2)
    plane.serve(EMPTY, (), gateways=(EAST, WEST))
    assert plane.relists[-1] == {"mgmt"}
    plane.agree("mgmt")
    assert (held(plane), plane.scope(EAST).confirmed, plane.scope(WEST).confirmed) == (frozenset(), True, True)


def test_a_gateway_of_another_class_with_the_same_tables_loses_nothing() -> None:
    plane = serving(20)
    plane.serve(TWO, tables(20), gateways=(EAST,), extra={LISTENER: listener()})
    assert (held(plane), plane.relists) == (frozenset(), [])


def test_a_held_loss_goes_along_to_another_class() -> None:
    plane = serving(20)
    plane.serve(ONE, tables(1))
    plane.serve(TWO, tables(1), gateways=(EAST, WEST), extra={LISTENER: listener()})
    assert held(plane) == set(tables(20)[1:])
    plane.agree("mgmt")
    assert (held(plane), plane.scope().confirmed) == (frozenset(), True)


def test_a_person_lets_go_what_no_listing_confirms() -> None:
    plane = serving(20)
    plane.serve(ONE, tables(1))
    assert plane.publisher.release("east", plane.version) == set(tables(20)[1:])
    assert (held(plane), plane.scope().confirmed) == (frozenset(), True)


def test_a_person_lets_go_what_waits_for_a_cluster_wherever_it_is_held() -> None:
    plane = Plane()
    west = [table(n, "west") for n in range(10)]
    north = [table(n, "north") for n in range(10)]
    plane.serve(ONE, west, gateways=(EAST,))
    plane.serve(TWO, north, gateways=(WEST,))
    plane.serve(ONE, ())
    plane.serve(TWO, ())
    plane.watch("east")
    assert plane.publisher.release("north", plane.version) == set(north)
    assert (plane.scope(WEST).keep, plane.scope(WEST).confirmed) == ({}, True)
    assert (held(plane), plane.scope().confirmed, plane.woken) == (set(west), False, [])
    assert plane.publisher.release("west", plane.version) == set(west)
    assert (held(plane), plane.scope().confirmed, plane.woken) == (frozenset(), True, ["east"])


def _reported(plane: Plane, *contributions: str) -> None:
    exceptions = tuple(
        ScopeException(contribution=c, code="MassDeletionHeld", message="held", since_unix_nanos=1)
        for c in contributions
    )
    plane.publisher.applied("east", plane.version, [ScopeApplied(scope=EAST[1], watermark=0, exceptions=exceptions)])


def test_what_the_agent_holds_is_listed_anew_once_and_then_confirmed() -> None:
    plane = serving(4)
    plane.serve(ONE, tables(3))
    _reported(plane, table(3))
    _reported(plane, table(3))
    assert plane.relists == [frozenset({"mgmt"})]
    keep = plane.scope().keep
    plane.agree("mgmt")
    assert plane.scope().confirmed
    assert plane.scope().keep is not keep  # by this the relay knows that there is something to tell


def test_a_class_once_confirmed_is_confirmed_anew_at_a_later_loss_that_only_the_agent_holds() -> None:
    plane = serving(40)
    plane.serve(ONE, tables(15))
    plane.agree("mgmt")
    plane.serve(ONE, tables(14))
    assert (held(plane), plane.scope().confirmed) == (frozenset(), False)
    _reported(plane, table(14))
    assert plane.relists == [frozenset({"mgmt"})] * 2
    plane.agree("mgmt")
    assert plane.scope().confirmed


def test_what_the_agent_holds_and_is_wanted_again_needs_no_listing() -> None:
    plane = serving(4)
    _reported(plane, table(3))
    assert plane.relists == []


def test_a_gateway_that_is_gone_is_confirmed_by_a_new_listing_of_its_cluster() -> None:
    plane = serving(4)
    plane.withdraw(EAST)
    assert (plane.scope().gone, plane.scope().confirmed) == (True, False)
    _reported(plane, *tables(4))
    _reported(plane, *tables(4))
    assert plane.relists == [frozenset({"east"})]
    plane.agree("east")
    assert plane.scope().confirmed


def test_a_gateway_that_comes_back_before_the_listing_is_not_confirmed() -> None:
    plane = serving(4)
    plane.withdraw(EAST)
    _reported(plane, *tables(4))
    plane.serve(ONE, tables(4), gateways=(EAST,))
    plane.agree("east")
    assert (plane.scope().gone, plane.scope().confirmed) == (False, False)


def test_a_gateway_that_went_before_this_replica_began_is_confirmed_as_well() -> None:
    plane = Plane()
    _reported(plane, *tables(4))
    assert plane.relists == [frozenset({"east"})]
    assert not plane.scope().confirmed
    plane.agree("east")
    assert (plane.scope().gone, plane.scope().confirmed) == (True, True)


def test_a_class_that_is_gone_leaves_no_confirmation_behind() -> None:
    plane = serving(20)
    plane.serve(ONE, ())
    plane.agree("mgmt")
    plane.withdraw(EAST)
    plane.withdraw(WEST)
    plane.serve(ONE, tables(3), gateways=(EAST,))
    assert not plane.scope().confirmed
