"""The journal: what is remembered of changes, what is measured, and how little room it takes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from fingerpost.objects import ObjectKey
from fingerpost.relay.applied import ScopeApplied
from fingerpost.tracing import Attributes, Tracer, trace_of
from mgmt.changes.journal import METRIC, Journal
from mgmt.changes.passage import Translated, came
from mgmt.changes.spans import Spans
from mgmt.ingest.kinds import SESSION
from mgmt.ingest.values import InputChange

SECOND = 1_000_000_000
TABLE = "networking.gloo.solo.io/RouteTable"
EAST, EAST2, WEST = ("east", "gw/one"), ("east", "gw/two"), ("west", "gw/one")
_TRACE = "00-{:032x}-{:016x}-01"


def key(name: str) -> ObjectKey:
    return ObjectKey(TABLE, "mgmt", "shop", name)


class Recorder(Tracer):
    """A tracer whose spans can be read."""

    on = True

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str, tuple[str, ...]]] = []  # name, context, parent, links

    def span(
        self,
        name: str,
        parent: str,
        began: int,
        ended: int,
        links: Iterable[str] = (),
        attributes: Attributes | None = None,
        failed: str = "",
    ) -> str:
        trace = int(trace_of(parent), 16) if parent else 1000 + len(self.spans)
        context = _TRACE.format(trace, len(self.spans) + 1)
        self.spans.append((name, context, parent, tuple(links)))
        return context


class World:
    def __init__(self, cells: int = 50_000) -> None:
        self.clock = 100 * SECOND
        self.measured: list[tuple[str, float, str]] = []
        self.tracer = Recorder()
        self.journal = Journal(lambda: self.clock, Spans(self.tracer), lambda *m: self.measured.append(m), cells)

    def turn(self, seq: int, *changes: InputChange, told: Iterable[tuple[str, str]] = (EAST, EAST2, WEST)) -> None:
        work = Translated(came(changes), self.clock, self.clock, 1)
        passage = self.journal.translated(work, seq, self.clock)
        self.journal.published(passage, told)

    def applied(self, gateway: tuple[str, str], watermark: int) -> None:
        self.journal.applied(gateway[0], [ScopeApplied(scope=gateway[1], watermark=watermark)])


def change(name: str, seen: int = 99 * SECOND, trace: int = 0) -> InputChange:
    return InputChange(key(name), b"{}", seen, _TRACE.format(trace, trace) if trace else "", max(seen, 1))


def test_a_change_is_applied_in_a_cluster_when_its_last_gateway_has_it() -> None:
    world = World()
    world.turn(7, change("a"))
    world.clock += SECOND
    world.applied(EAST, 7)
    world.applied(EAST2, 6)
    world.journal.measured()
    assert world.measured == []
    world.clock += SECOND
    world.applied(EAST2, 8)
    world.journal.measured()
    assert world.measured == [(METRIC, 3.0, "east")]
    passage = world.journal.last(key("a"))
    assert passage is not None
    assert passage.gateways == {EAST: 101 * SECOND, EAST2: 102 * SECOND, WEST: 0}


def test_a_change_is_applied_in_a_cluster_of_whose_gateways_one_was_told() -> None:
    world = World()
    world.turn(6, change("a"))
    world.applied(EAST, 6)
    world.applied(EAST2, 6)
    world.turn(7, change("b"), told=[EAST])
    world.clock += SECOND
    world.applied(EAST, 7)
    world.journal.measured()
    assert [cluster for _, _, cluster in world.measured] == ["east", "east"]


def test_each_change_of_a_turn_is_measured_from_when_it_was_seen() -> None:
    world = World()
    world.turn(7, change("a", 98 * SECOND), change("b", 99 * SECOND), change("c", 0), told=[WEST])
    world.applied(WEST, 7)
    world.journal.measured()
    assert sorted(world.measured) == [(METRIC, 1.0, "west"), (METRIC, 2.0, "west")]


def test_clocks_that_differ_give_no_negative_time() -> None:
    world = World()
    world.turn(7, change("a", 500 * SECOND), told=[WEST])
    world.clock = 501 * SECOND
    world.applied(WEST, 7)
    world.clock = 400 * SECOND
    world.turn(8, change("a", 450 * SECOND), told=[WEST])
    world.applied(WEST, 8)
    world.journal.measured()
    assert [seconds for _, seconds, _ in world.measured] == [1.0, 0.0]


def test_what_was_there_at_the_start_is_no_change() -> None:
    world = World()
    world.turn(1, InputChange(key("old"), b"{}"), InputChange(key("s")._replace(type=SESSION), b"", 5, "", 5))
    assert world.journal.last(key("old")) is None
    assert world.journal.sizes == {"turns": 0, "objects": 0, "cells": 0, "awaited": 0}


def test_a_gateway_that_is_gone_owes_nothing() -> None:
    world = World()
    world.turn(7, change("a"), told=[EAST, WEST])
    world.journal.gone([WEST])
    passage = world.journal.last(key("a"))
    assert passage is not None
    assert list(passage.gateways) == [EAST]
    assert world.journal.sizes["awaited"] == 1
    world.turn(8, change("b"), told=[WEST])
    world.applied(WEST, 8)
    world.journal.measured()
    assert [cluster for _, _, cluster in world.measured] == ["west"], "it may come again"


def test_memory_is_bounded_by_turns_and_by_gateways_that_never_answer() -> None:
    world = World(cells=1000)
    for seq in range(1, 5001):
        world.turn(seq, change(f"t{seq}"))
    sizes = world.journal.sizes
    assert sizes["cells"] <= 1000
    assert sizes["objects"] == sizes["turns"] == 200
    assert sizes["awaited"] == 3 * 256
    assert world.journal.last(key("t4000")) is None
    assert world.journal.last(key("t5000")) is not None
    world.turn(6000, *(change(f"many{i}") for i in range(5000)))
    assert world.journal.sizes["objects"] <= 1000


def test_an_object_that_changes_often_has_its_last_change_when_older_ones_go() -> None:
    world = World(cells=20)
    for seq in range(1, 50):
        world.turn(seq, change("a"))
    passage = world.journal.last(key("a"))
    assert passage is not None
    assert passage.seq == 49


def test_one_change_stays_in_its_trace() -> None:
    world = World()
    world.turn(7, change("a", trace=5), told=[WEST])
    world.applied(WEST, 7)
    assert [name for name, *_ in world.tracer.spans] == [
        "mgmt.ingest",
        "mgmt.translate",
        "mgmt.store",
        "mgmt.publish",
        "mgmt.applied",
    ]
    assert {trace_of(context) for _, context, *_ in world.tracer.spans} == {f"{5:032x}"}


def test_a_turn_of_several_changes_links_to_their_traces_and_they_to_it() -> None:
    world = World()
    world.turn(7, change("a", trace=5), change("b", trace=6), told=[WEST])
    world.applied(WEST, 7)
    spans = world.tracer.spans
    contexts = {name: [c for n, c, *_ in spans if n == name] for name, *_ in spans}
    (shared,) = contexts["mgmt.translate"]
    assert trace_of(shared) not in (f"{5:032x}", f"{6:032x}")
    (links,) = [links for name, _, _, links in spans if name == "mgmt.translate"]
    assert links == tuple(contexts["mgmt.ingest"])
    assert [(trace_of(c), links) for n, c, _, links in spans if n == "mgmt.turn"] == [
        (f"{5:032x}", (shared,)),
        (f"{6:032x}", (shared,)),
    ]
    # also the end is told in the trace of each change
    assert [trace_of(c) for c in contexts["mgmt.applied"]] == [trace_of(shared), f"{5:032x}", f"{6:032x}"]


@pytest.mark.parametrize("seen", [0, 99 * SECOND])
def test_a_change_of_which_nobody_began_a_trace_begins_one_here(seen: int) -> None:
    world = World()
    world.turn(7, change("a", seen))
    names = [(name, parent) for name, _, parent, _ in world.tracer.spans]
    assert names[0] == (("change.seen", "") if seen else ("mgmt.ingest", ""))
    assert len({trace_of(context) for _, context, *_ in world.tracer.spans}) == 1
