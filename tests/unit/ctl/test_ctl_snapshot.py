"""`snapshot input|output` as a process, against servers of the admin tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from admin_world import World

Run = Callable[..., Any]
Start = Callable[..., Any]


@pytest.mark.spec("M-6", "C-3")
def test_the_newest_of_all_replicas_is_shown(servers: Start, fingerpost: Run) -> None:
    behind, ahead = World(), World()
    ahead.edit()
    servers(behind, ahead)
    done = fingerpost("snapshot", "input", "--type", "rt", "-o", "json")
    assert (done.code, done.err) == (0, "")
    spec = json.loads(done.out)["spec"]
    assert spec["revision"] == ahead.fed.seq > behind.fed.seq
    tables = spec["clusters"]["mgmt"]["types"]["networking.gloo.solo.io/RouteTable"]
    assert "new2.example" in str(tables)


def test_the_output_is_shown_as_it_is_sent(servers: Start, fingerpost: Run) -> None:
    [served] = servers(World())
    shown = json.loads(fingerpost("snapshot", "output", "--cluster", "east", "-o", "json").out)["spec"]
    view = served.world.plane.publisher.scopes("east")
    sent = {(s, *k): p.digest.hex() for s, scope in view.items() for k, p in scope.resources.items()}
    types = shown["clusters"]["east"]["types"]
    assert {(e["gateway"], t, e["name"]): e["hash"] for t, found in types.items() for e in found} == sent
    table = fingerpost("snapshot", "output", "--cluster", "east").out
    assert [line.split()[4:] for line in table.splitlines() if "routes" in line] == [["routes", "|", "1"]]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (("snapshot", "both"), "write fingerpost snapshot input"),
        (("snapshot", "output", "--type", "route"), "types of the output are cluster, endpoints"),
        (("snapshot", "input", "--cluster", "north"), "no cluster is called north"),
    ],
)
def test_what_there_is_not_is_refused(servers: Start, fingerpost: Run, order: tuple[str, ...], said: str) -> None:
    servers(World())
    done = fingerpost(*order)
    assert (done.code, said in done.err) == (2, True), done.err
