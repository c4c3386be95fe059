"""The engine: what is read is remembered, equal output stops a wave, a unit that raises harms nobody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import pytest

from mgmt.translate.engine import Collection, Context, Engine, Input

Run = Callable[[Context, str, int], Mapping[str, Any]]


class World:
    """Two inputs, so that a step over one can read the other. `delta` is what the last turn changed in `watched`."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.items: Input[str, int] = self.engine.input("items")
        self.others: Input[str, int] = self.engine.input("others")
        self.by_parity = self.others.index(lambda _, v: (v % 2,))
        self.watched: Collection[Any, Any] = self.others
        self.delta: dict[Any, Any] = {}
        self.ran: list[str] = []

    def step(self, run: Run) -> Collection[str, Any]:
        def recorded(context: Context, key: str, value: int) -> Mapping[str, Any]:
            self.ran.append(key)
            return run(context, key, value)

        self.watched = made = self.engine.step("step", self.items, recorded)
        return made

    def turn(self, **others: int | None) -> list[str]:
        """Change `others`, carry it through, and tell who ran."""
        for key, value in others.items():
            self.others.put(key, value)
        return self.run()

    def run(self) -> list[str]:
        self.ran.clear()
        self.engine.turn()
        self.delta = dict(self.watched.delta)
        self.engine.settle()
        return list(self.ran)


def test_a_key_read_is_a_key_depended_on_even_while_it_is_absent() -> None:
    world = World()
    out = world.step(lambda c, key, value: {key: value + (c.get(world.others, key) or 0)})
    world.items.put("a", 1)
    world.items.put("b", 1)
    assert world.run() == ["a", "b"]
    assert world.turn(a=10) == ["a"]
    assert out.items == {"a": 11, "b": 1}
    assert world.turn(a=None) == ["a"]
    assert world.turn(c=1) == []
    assert out.items == {"a": 1, "b": 1}


def test_a_bucket_read_is_not_the_next_bucket() -> None:
    world = World()
    out = world.step(lambda c, key, _: {key: sorted(c.by(world.by_parity, 0))})
    world.items.put("a", 1)
    world.run()
    assert world.turn(odd=1) == []
    assert world.turn(even=2) == ["a"]
    assert out.items["a"] == ["even"]


def test_an_item_that_moves_between_buckets_is_told_to_both() -> None:
    world = World()
    out = world.step(lambda c, key, value: {key: sorted(c.by(world.by_parity, value))})
    world.items.put("evens", 0)
    world.items.put("odds", 1)
    world.turn(x=2)
    assert world.turn(x=3) == ["evens", "odds"]
    assert out.items == {"evens": [], "odds": ["x"]}
    assert world.turn(x=5) == ["odds"]  # its value changed inside one bucket


def test_all_of_a_collection_depends_on_every_change() -> None:
    world = World()
    out = world.step(lambda c, key, _: {key: sum(c.all(world.others).values())})
    world.items.put("a", 1)
    world.run()
    assert world.turn(x=2, y=3) == ["a"]
    assert out.items == {"a": 5}


def test_what_a_former_run_read_is_forgotten() -> None:
    world = World()
    world.step(lambda c, key, value: {key: c.get(world.others, "x") if value == 1 else None})
    world.items.put("a", 1)
    world.turn(x=1)
    world.items.put("a", 2)
    assert world.run() == ["a"]
    assert world.turn(x=2) == []


def test_an_equal_output_stops_the_wave() -> None:
    world = World()
    rounded = world.step(lambda _, key, value: {key: value // 10})
    after: list[str] = []

    def second(_: Context, key: str, value: int) -> dict[str, int]:
        after.append(key)
        return {key: value}

    world.engine.step("second", rounded, second)
    world.items.put("a", 11)
    world.run()
    world.items.put("a", 12)
    assert world.run() == ["a"]
    assert after == ["a"]
    assert world.delta == {}


def test_outputs_that_a_run_no_longer_makes_are_gone() -> None:
    world = World()
    out = world.step(lambda _, key, value: {f"{key}{i}": i for i in range(value)})
    world.items.put("a", 3)
    world.run()
    world.items.put("a", 1)
    world.run()
    assert (dict(out.items), world.delta) == ({"a0": 0}, {"a1": (1, None), "a2": (2, None)})
    world.items.put("a", None)
    world.run()
    assert out.items == {}


def test_outputs_are_known_by_their_unit_under_its_own_key_and_under_others() -> None:
    world = World()
    under: list[Callable[[str], list[str]]] = [
        lambda _: [],
        lambda key: [key],
        lambda key: [key, f"{key}'"],
        lambda key: [f"{key}'"],
    ]
    out = world.step(lambda _, key, value: {one: key for one in under[value](key)})
    world.items.put("other", 1)
    for former, value in product(range(4), range(4)):
        world.items.put("a", former)
        world.run()
        world.items.put("a", value)
        world.run()
        assert sorted(out.items) == sorted([*under[value]("a"), "other"])
    world.items.put("other", None)
    world.items.put("a", None)
    world.run()
    assert out.items == {}


def test_a_unit_that_is_gone_is_not_run_for_what_it_once_read() -> None:
    world = World()
    world.step(lambda c, key, _: {} if c.get(world.others, key) is c.get(world.others, "x") else {key: 1})
    world.items.put("a", 1)
    assert world.run() == ["a"]
    world.items.put("a", None)
    assert world.run() == []
    assert world.turn(a=1, x=2) == []


@pytest.mark.spec("M-54")
def test_a_unit_that_raises_keeps_its_last_output_alone() -> None:
    world = World()
    out = world.step(lambda _, key, value: {key: 10 // value})
    world.items.put("a", 5)
    world.items.put("b", 5)
    world.run()
    world.items.put("a", 0)
    world.items.put("b", 2)
    world.run()
    assert out.items == {"a": 2, "b": 5}
    (failure,) = world.engine.failures()
    assert (failure.node, failure.key, type(failure.error)) == ("step", "a", ZeroDivisionError)
    world.items.put("a", 1)
    world.run()
    assert out.items == {"a": 10, "b": 5}
    assert world.engine.failures() == []


@pytest.mark.spec("M-54")
def test_a_unit_that_raised_recovers_when_what_it_read_changes() -> None:
    world = World()
    out = world.step(lambda c, key, value: {key: value // (c.get(world.others, "by") or 0)})
    world.items.put("a", 6)
    world.run()
    assert out.items == {}
    assert world.turn(by=3) == ["a"]
    assert out.items == {"a": 2}
    assert world.engine.failures() == []


@pytest.mark.spec("M-54")
def test_a_unit_that_goes_takes_its_failure_along() -> None:
    world = World()
    out = world.step(lambda _, key, value: {key: 1 // value})
    world.items.put("a", 1)
    world.run()
    world.items.put("a", 0)
    world.run()
    world.items.put("a", None)
    world.run()
    assert (out.items, world.engine.failures()) == ({}, [])


class _Sum:
    def __init__(self, group: int) -> None:
        self.values: dict[str, int] = {}

    def change(self, key: str, old: int | None, new: int | None) -> None:
        if new is None:
            del self.values[key]
        else:
            self.values[key] = new

    def result(self) -> int | None:
        return sum(self.values.values()) or None


def test_a_fold_sees_changes_only_and_moves_items_between_groups() -> None:
    world = World()
    sums = world.engine.fold("sums", (world.items, world.others), lambda _, v: (v % 2,), _Sum)
    world.watched = sums
    for key, value in {"a": 1, "b": 2, "c": 3}.items():
        world.items.put(key, value)
    world.turn(d=4)
    assert sums.items == {1: 4, 0: 6}
    world.items.put("c", 8)
    world.run()
    assert sums.items == {1: 1, 0: 14}
    world.items.put("a", None)
    world.run()
    assert (dict(sums.items), world.delta) == ({0: 14}, {1: (1, None)})
    world.items.put("a", 7)
    world.run()
    assert sums.items == {0: 14, 1: 7}  # the group that was gone begins anew


def test_one_turn_runs_a_unit_once_however_much_it_read_changed() -> None:
    world = World()
    world.step(lambda c, key, _: {key: (c.get(world.others, "x"), c.get(world.others, "y"))})
    world.items.put("a", 1)
    world.run()
    world.items.put("a", 2)
    assert world.turn(x=1, y=2) == ["a"]


def test_a_change_and_its_undoing_in_one_turn_is_told_as_from_first_to_last() -> None:
    world = World()
    world.turn(x=1)
    world.engine.settle()
    world.others.put("x", 2)
    world.others.put("x", 3)
    assert world.others.delta == {"x": (1, 3)}


def test_questions_from_outside_leave_no_trace() -> None:
    world = World()
    world.turn(x=1)
    assert Context.untracked().get(world.others, "x") == 1
    with pytest.raises(TypeError):
        Context.untracked().commit(())
