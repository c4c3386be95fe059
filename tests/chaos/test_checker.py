"""The checker of the soak can fail: it is shown gateways that serve what they must not."""

from __future__ import annotations

from math import inf

import pytest

from tests.chaos.checker import Checker
from tests.chaos.world import MGMT, SHOP, Action, Key, Table, World

ROUTE: Key = ("route", "t.example", "/0")
LOCAL: Key = ("endpoint", "cart", "198.18.1.10:8080")
REMOTE: Key = ("endpoint", "cart", "198.18.2.1:16443")


class Stored:
    """What the servers say to have in Redis."""

    until = inf

    def __call__(self, cluster: str) -> float:
        return self.until


@pytest.fixture
def world() -> World:
    world = World(("a", "b"))
    world.tables["t"] = Table("a", SHOP, "edge", {"/0": Action(to="cart"), "/1": Action(says="one")})
    world.destinations.add("cart")
    world.services = {("a", "cart"): frozenset({0}), ("b", "cart"): frozenset({0, 1})}
    return world


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
def checker(world: World, stored: Stored) -> Checker:
    return Checker(world, stored)


def counts(checker: Checker) -> dict[str, int]:
    kinds = ("false_delete", "rollback", "lost_input", "leftover")
    return {kind: n for kind in kinds if (n := checker.count(kind))}


def test_the_model_knows_own_pods_and_the_gateways_of_others(world: World) -> None:
    assert world.wanted("a") == {ROUTE: "to cart", ("route", "t.example", "/1"): "says one", LOCAL: "", REMOTE: ""}
    assert world.endpoints("b", "cart") == {"198.18.2.10:8080", "198.18.2.11:8080", "198.18.1.1:16443"}
    assert [world.home(key) for key in (ROUTE, LOCAL, REMOTE)] == ["a", "a", "b"]
    world.gateways["edge"] = "b"
    assert not world.wanted("a")
    world.gateways["edge"] = ""
    world.workspaces.clear()
    assert not world.wanted("a")


def test_a_right_serving_is_right(world: World, checker: Checker) -> None:
    for cluster in world.clusters:
        checker.look(cluster, world.wanted(cluster))
    assert not checker.differences()
    checker.conclude()
    assert not checker.findings


@pytest.mark.parametrize("key", [ROUTE, LOCAL, REMOTE])
def test_what_was_served_and_is_gone_for_a_moment_is_found_once(world: World, checker: Checker, key: Key) -> None:
    served = world.wanted("a")
    checker.look("a", served)
    missing = {k: v for k, v in served.items() if k != key}
    if key == ROUTE:  # endpoints go with the last route to them
        missing = {k: v for k, v in missing.items() if k[0] == "route"}
    checker.look("a", missing)
    checker.look("a", missing)
    checker.look("a", served)
    assert counts(checker) == {"false_delete": 1}
    checker.look("a", missing)
    assert counts(checker) == {"false_delete": 2}


def test_what_users_take_away_may_go(world: World, checker: Checker) -> None:
    checker.look("a", world.wanted("a"))
    world.tables.clear()
    checker.edited()
    checker.look("a", {})
    assert not checker.findings


def test_what_was_not_served_yet_is_no_loss_while_it_lasts_and_one_in_the_end(world: World, checker: Checker) -> None:
    checker.look("a", {})
    assert not checker.findings
    checker.conclude(("a",))
    assert counts(checker) == {"lost_input": 4}


def test_an_input_counts_from_when_it_is_acknowledged(world: World, checker: Checker, stored: Stored) -> None:
    stored.until = 0.0
    checker.look("a", world.wanted("a"))
    checker.look("a", {})
    assert not checker.findings
    assert checker.protected() == 0
    checker.look("a", world.wanted("a"))
    stored.until = inf
    assert checker.protected() == 1
    checker.look("a", {})
    assert counts(checker) == {"false_delete": 2}, "both routes; the endpoints went with them"


def test_what_we_make_redis_forget_is_no_loss_until_all_is_right_again(world: World, checker: Checker) -> None:
    checker.look("a", world.wanted("a"))
    checker.forget()
    checker.look("a", {})
    assert not checker.findings
    checker.look("a", world.wanted("a"))
    checker.rested()
    checker.look("a", {})
    assert counts(checker) == {"false_delete": 2}


def test_a_text_that_was_replaced_must_not_come_back(world: World, checker: Checker) -> None:
    old = world.wanted("a")
    checker.look("a", old)
    world.tables["t"] = world.tables["t"]._replace(routes={"/0": Action(to="cart"), "/1": Action(says="two")})
    checker.edited()
    checker.look("a", old)  # it has not heard of it
    checker.look("a", world.wanted("a"))
    assert not checker.findings
    checker.look("a", old)
    assert counts(checker) == {"rollback": 1}


def test_what_came_and_went_and_came_again_counts_after_the_next_rest(world: World, checker: Checker) -> None:
    table, served = world.tables["t"], world.wanted("a")
    for tables in ({}, {"t": table}):
        world.tables = dict(tables)
        checker.edited()
    checker.look("a", served)  # of the first time
    checker.look("a", {})  # of the time without
    assert not checker.findings
    checker.look("a", served)
    checker.rested()
    checker.look("a", {})
    assert counts(checker) == {"false_delete": 2}


def test_what_is_wanted_as_it_was_before_may_be_served_by_way_of_what_was_wanted_in_between(
    world: World, checker: Checker
) -> None:
    first = world.tables["t"]
    served = world.wanted("a")
    checker.look("a", served)
    world.tables["t"] = first._replace(routes={"/0": Action(says="between"), "/1": Action(says="one")})
    checker.edited()
    between = world.wanted("a")
    world.tables["t"] = first
    checker.edited()
    checker.look("a", served)  # of the first time
    checker.look("a", between)
    assert not checker.findings
    checker.look("a", served)
    checker.rested()
    checker.look("a", between)
    assert counts(checker)["rollback"] == 1


def test_what_nobody_wants_any_more_is_left_over(world: World, checker: Checker) -> None:
    checker.look("b", world.wanted("b") | {("route", "gone.example", "/0"): "says x"})
    checker.conclude(("b",))
    assert counts(checker) == {"leftover": 1}


def test_tables_of_the_management_cluster_have_its_folder_as_home(world: World) -> None:
    world.tables["m"] = Table(MGMT, SHOP, "edge", {"/0": Action(says="x")})
    assert world.home(("route", "m.example", "/0")) == MGMT
