"""`trace` and `events`, as processes, against real admin APIs over HTTP."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

from admin_world import SECOND, WWW, World
from terminal import read_until

from fingerpost.objects import canonical, content_hash, trim
from mgmt.changes.events import Kind
from mgmt.changes.passage import Translated, came
from mgmt.ingest.values import InputChange


def _through_redis(world: World, source: World) -> None:
    """The change that `source` took in, as another replica gets it."""
    body = canonical(trim(WWW.type, source.body(WWW)))
    assert content_hash(body)
    world.fed.seq += 1
    world.translator.feed([(WWW, body)])
    turn = world.translator.turn()
    changes = [InputChange(WWW, body, received_unix_nanos=1, elsewhere=True)]
    passage = world.journal.translated(Translated(came(changes), 1, 2, turn.steps), world.fed.seq, 0)
    world.journal.published(passage, world.publisher.publish(turn, world.fed.seq))


def test_trace_shows_stages_and_gateways(fingerpost: Any, servers: Any) -> None:
    world = World()
    version = world.edit()
    world.answer("east")
    servers(world)
    result = fingerpost("trace", "routetable", "shop/www")
    assert result.code == 0, result
    lines = [[cell.strip() for cell in line.split("|")] for line in result.out.splitlines()]
    assert f"version       {version}" in result.out
    assert [line[0] for line in lines[-7:]] == ["Stage", "seen", "translated", "stored", "published", *["applied"] * 2]
    assert lines[-6][3] == "+0.0ms"
    assert lines[-4][3] == "+6.0ms"
    assert lines[-2][1:4] == ["east/gw/ingress", lines[-2][2], "+8.0ms"]
    assert lines[-1][1:] == ["west/gw/ingress", "-", "-", "on its way"]
    (item,) = json.loads(fingerpost("trace", "rt", "shop/www", "-o", "json").out)["items"]
    assert [c["name"] for c in item["clusters"]] == ["east", "west"]


def test_trace_joins_what_replicas_know_and_says_what_nobody_does(fingerpost: Any, servers: Any) -> None:
    """Each replica has the agent of one cluster; only the first has taken the change in."""
    here, there = World("mgmt-0"), World("mgmt-1")
    here.fed.mine, there.fed.mine = {"east"}, {"west"}
    here.edit()
    _through_redis(there, here)
    here.answer("east")
    there.answer("west")
    servers(here, there)
    (item,) = json.loads(fingerpost("trace", "rt", "shop/www", "-o", "json").out)["items"]
    assert [bool(c["applied"]) for c in item["clusters"]] == [True, True]
    assert (item["replicas"], item["unknown"]) == (["mgmt-0", "mgmt-1"], [])
    assert "seen" in item["stages"]
    servers(there, silent=("http://127.0.0.1:1",))
    result = fingerpost("trace", "rt", "shop/www")
    assert result.code == 6, "one server is silent"
    assert "seen, pushed, stored not known, as the server that took the change in does not answer" in result.err
    assert "does not answer" in result.err


def test_trace_of_what_is_not_there_or_forgotten(fingerpost: Any, servers: Any) -> None:
    servers(World())
    missing = fingerpost("trace", "rt", "shop/none")
    assert (missing.code, "there is no RouteTable shop/none" in missing.err) == (1, True)
    old = fingerpost("trace", "rt", "shop/www")
    assert (old.code, "forgotten" in old.out) == (0, True)


def test_events_are_listed_oldest_first_over_all_servers(fingerpost: Any, servers: Any) -> None:
    one, two = World("mgmt-0"), World("mgmt-1")
    one.events.add(Kind.CONNECTED, "east", message="agent east-1")
    two.moment += SECOND
    two.events.add(Kind.DISCONNECTED, "east", message="gone")
    one.moment += 2 * SECOND
    one.events.add(Kind.STORE_LOST, message="Redis does not answer")
    servers(one, two)
    result = fingerpost("events")
    assert result.code == 0, result
    assert [line.split(" | ")[1].strip() for line in result.out.splitlines()] == [
        "Type",
        "Connected",
        "Disconnected",
        "StoreLost",
    ]
    items = json.loads(fingerpost("events", "--cluster", "east", "-o", "json").out)["items"]
    assert [(i["type"], i["replica"]) for i in items] == [("Connected", "mgmt-0"), ("Disconnected", "mgmt-1")]


def test_on_a_terminal_events_of_all_replicas_are_appended_each_once(environment: dict[str, str], servers: Any) -> None:
    """Also of one whose clock is behind; nothing is redrawn."""
    one, two = World("mgmt-0"), World("mgmt-1")
    one.events.add(Kind.CONNECTED, "east", message="first")
    ahead, behind = servers(one, two)
    two.moment -= SECOND
    ours, theirs = pty.openpty()
    watching = [sys.executable, "-m", "ctl", "events", "-w"]
    with subprocess.Popen(watching, stdout=theirs, text=True, env=environment | {"TERM": "xterm"}) as process:
        os.close(theirs)
        try:
            text = read_until(ours, "first")
            behind.do(lambda w: w.events.add(Kind.CONNECTED, "west", message="second"))
            text += read_until(ours, "second")
            ahead.do(lambda w: w.events.add(Kind.DISCONNECTED, "east", message="third"))
            text += read_until(ours, "third")
            behind.do(lambda w: w.events.add(Kind.DISCONNECTED, "west", message="fourth"))
            text += read_until(ours, "fourth")
        finally:
            process.terminate()
    os.close(ours)
    assert [line.split()[-1] for line in text.splitlines() if line.strip()] == ["first", "second", "third", "fourth"]
    assert "\x1b[2J" not in text


def test_watched_events_come_once_each_as_they_happen(servers: Any, tmp_path: Path) -> None:
    world = World()
    world.events.add(Kind.CONNECTED, "east")
    (served,) = servers(world)
    watching = [sys.executable, "-m", "ctl", "events", "-w", "-o", "json", "--config", str(tmp_path / "config.yaml")]
    with subprocess.Popen(watching, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["type"] == "Connected"
            served.do(lambda w: w.events.add(Kind.ROTATED, "east"))
            served.do(lambda w: w.events.add(Kind.DISCONNECTED, "east"))
            assert [json.loads(process.stdout.readline())["type"] for _ in range(2)] == ["Rotated", "Disconnected"]
        finally:
            process.terminate()
