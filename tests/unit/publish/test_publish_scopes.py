"""What the relay reads: the log of a scope leads from any digest it names to the resources there are now."""

from __future__ import annotations

from itertools import pairwise

import pytest
from publish_support import EAST, LISTENER, ROUTES, WEST, Plane, gateway_class, listener, routes, tables

from fingerpost.relay.digest import SetDigest, resource_key
from fingerpost.relay.interest import Interest
from mgmt.publish.scope import LOG, Scope
from mgmt.relay.ports import Changed
from mgmt.translate.scopes import GatewayKey
from mgmt.translate.turn import Turn

ONE, TWO = gateway_class("one"), gateway_class("two")


def digest_of(scope: Scope) -> bytes:
    fresh = SetDigest()
    for key, pieces in scope.resources.items():
        fresh.add(resource_key(*key), pieces.digest)
    return fresh.total


def chained(scope: Scope) -> bool:
    log = list(scope.log)
    return (
        all(a.after == b.base and a.version == b.previous for a, b in pairwise(log))
        and log[-1].after == scope.digest.total
    )


def test_a_change_is_logged_with_the_former_digest_of_what_changed() -> None:
    plane = Plane()
    plane.serve(ONE, tables(2), gateways=(EAST,))
    before, base = plane.scope().resources[ROUTES].digest, plane.scope().digest.total
    plane.serve(ONE, tables(3))
    scope = plane.scope()
    entry = scope.log[-1]
    assert (entry.version, entry.previous, entry.base) == (2, 1, base)
    assert entry.changed == (Changed(*ROUTES, before),)
    assert entry.after == scope.digest.total == digest_of(scope)


def test_like_gateways_share_resources_and_entries() -> None:
    plane = Plane()
    plane.serve(ONE, tables(2), gateways=(EAST, WEST))
    plane.serve(ONE, tables(3))
    assert plane.scope(EAST).resources is plane.scope(WEST).resources
    assert plane.scope(EAST).log[-1] is plane.scope(WEST).log[-1]


def test_equal_resources_publish_nothing() -> None:
    plane = Plane()
    plane.serve(ONE, tables(2), gateways=(EAST,))
    plane.watch("east")
    plane.serve(ONE, tables(2))
    assert (plane.scope().version, plane.woken, plane.publisher.config_version) == (1, [], 2)


def test_a_move_to_another_class_logs_the_difference_alone() -> None:
    plane = Plane()
    plane.serve(ONE, tables(2), gateways=(EAST, WEST), extra={LISTENER: listener()})
    plane.serve(ONE, tables(3))
    plane.serve(TWO, tables(4), gateways=(EAST,), extra={LISTENER: listener()})
    scope = plane.scope()
    assert [(c.type, c.name) for c in scope.log[-1].changed] == [ROUTES]
    assert chained(scope)
    assert scope.digest.total == digest_of(scope)
    assert plane.scope(WEST).version == 2


@pytest.mark.parametrize("order", [(EAST, WEST), (WEST, EAST)])
def test_a_gateway_that_comes_into_a_class_as_its_last_member_leaves_gets_all_of_it(
    order: tuple[GatewayKey, GatewayKey],
) -> None:
    plane = Plane()
    plane.serve(ONE, tables(2), gateways=(EAST,))
    plane.serve(TWO, tables(3), gateways=(WEST,))
    to = {EAST: TWO, WEST: ONE}
    plane.publisher.publish(Turn(gateways={gateway: to[gateway] for gateway in order}), 3)
    assert plane.scope(WEST).resources == {ROUTES: routes(tables(2))}
    assert plane.scope(EAST).resources == {ROUTES: routes(tables(3))}


def test_the_log_of_a_gateway_that_goes_and_comes_stays_joined() -> None:
    plane = Plane()
    plane.serve(ONE, tables(1), gateways=(EAST, WEST))
    plane.serve(ONE, tables(2))
    plane.withdraw(EAST)
    assert (plane.scope().gone, dict(plane.scope().resources)) == (True, {})
    plane.serve(ONE, tables(3), gateways=(EAST,))
    assert not plane.scope().gone
    assert chained(plane.scope())
    assert plane.scope().version == plane.version


def test_the_log_forgets_the_oldest() -> None:
    plane = Plane()
    plane.serve(ONE, tables(1), gateways=(EAST,))
    for count in range(2, LOG + 20):
        plane.serve(ONE, tables(count))
    assert len(plane.scope().log) == LOG
    assert chained(plane.scope())


def test_only_agents_concerned_are_woken() -> None:
    plane = Plane()
    plane.serve(ONE, tables(1), gateways=(EAST,))
    plane.serve(TWO, tables(1), gateways=(WEST,))
    plane.watch("east")
    plane.watch("west")
    plane.serve(TWO, tables(2))
    assert plane.woken == ["west"]
    plane.publisher.publish(Turn(interests={"east": Interest(services=("shop/cart",))}), 9)
    assert plane.woken == ["west", "east"]
    assert plane.publisher.interest("east").services == ("shop/cart",)


def test_an_ended_subscription_is_left_alone() -> None:
    plane = Plane()
    plane.serve(ONE, tables(1), gateways=(EAST,))
    end = plane.publisher.subscribe("east", lambda: plane.woken.append("never"))
    end()
    plane.serve(ONE, tables(2))
    assert plane.woken == []


def test_safe_mode_keeps_come_and_go_with_the_turns_that_say_so() -> None:
    plane = Plane()
    plane.serve(ONE, tables(1), gateways=(EAST,))
    keep = {tables(1)[0]: "WaitingForCluster: west"}
    plane.publisher.publish(Turn(warming={ONE: keep}), 2)
    assert plane.scope().keep == keep
    plane.publisher.publish(Turn(), 3)
    assert plane.scope().keep == keep
    plane.publisher.publish(Turn(warming={}), 4)
    assert plane.scope().keep == {}


def test_after_an_agent_was_ahead_every_scope_is_told_again_above_it() -> None:
    """Redis has lost its memory: an unchanged scope would stay below what the agent holds, who refuses it as old."""
    plane = Plane()
    plane.serve(ONE, tables(2), gateways=(EAST, WEST))
    plane.watch("east")
    plane.publisher.seen("east", 50)
    assert plane.publisher.is_behind
    assert not plane.publisher.catch_up(49)
    assert plane.scope().version == 1
    plane.publisher.config_version = 51
    assert plane.publisher.catch_up(51)
    assert not plane.publisher.is_behind
    assert [plane.scope(g).version for g in (EAST, WEST)] == [51, 51]
    assert chained(plane.scope())
    assert plane.woken == ["east"]
    assert not plane.publisher.catch_up(52)
