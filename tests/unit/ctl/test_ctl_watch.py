"""`--watch`: as a process in a pipe and on a pseudo-terminal, against real admin APIs."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from admin_world import NOW, SECOND, World, warm
from terminal import read_until

from mgmt.ingest.values import ClusterState, ClusterStates, State
from tests.unit.ctl.conftest import serving

pytestmark = pytest.mark.timeout(120)


def healthy() -> World:
    world = World()
    world.answer("east")
    world.answer("west")
    return world


def lose_west(world: World) -> None:
    lost = ClusterState(state=State.CACHED, ready=True, since=NOW - 842 * SECOND, version="0.1.0")
    world.fed.states = ClusterStates(clusters={"east": warm(), "west": lost})


@contextmanager
def started(environment: dict[str, str], *arguments: str, stdout: int = subprocess.PIPE) -> Iterator[Any]:
    command = [sys.executable, "-m", "ctl", *arguments]
    with subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, env=environment, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.spec("C-15")
def test_a_watched_check_tells_each_change_and_ends_with_the_last_result(
    environment: dict[str, str], servers: Any
) -> None:
    (served,) = servers(healthy())
    with started(environment, "check", "--watch", "-o", "json") as process:
        first = json.loads(process.stdout.readline())
        assert first["findings"] == []
        served.do(lose_west)
        second = json.loads(process.stdout.readline())
        assert [f["code"] for f in second["findings"]] == ["CHK041"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 1
        assert process.stdout.read() == ""  # the age of a finding is no change


@pytest.mark.spec("C-15")
def test_on_a_terminal_it_is_redrawn(environment: dict[str, str], servers: Any) -> None:
    (served,) = servers(healthy())
    ours, theirs = pty.openpty()
    with started(environment | {"TERM": "xterm"}, "check", "--watch", stdout=theirs) as process:
        os.close(theirs)
        assert "\x1b[H\x1b[2J" in read_until(ours, "0 errors, 0 warnings")
        served.do(lose_west)
        text = read_until(ours, "1 error, 0 warnings")
        assert "\x1b[H\x1b[2J" in text
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 1
    os.close(ours)


@pytest.mark.parametrize("command", [("get", "routetables"), ("cluster", "list")])
def test_lists_are_watched_and_a_server_that_goes_is_told(
    environment: dict[str, str], servers: Any, closed_port: str, command: tuple[str, ...]
) -> None:
    (served,) = servers(healthy())
    with started(environment, *command, "-w", "-o", "json") as process:
        first = json.loads(process.stdout.readline())
        assert first["items"]
        served.do(lambda world: (world.edit(), lose_west(world)))
        second = json.loads(process.stdout.readline())
        assert second["items"] != first["items"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_a_silent_server_is_told_and_a_given_timeout_ends_it(fingerpost: Any, servers: Any, closed_port: str) -> None:
    servers(silent=(closed_port,))
    result = fingerpost("get", "routetables", "-w", "--timeout", "1500ms", NO_COLOR="1")
    assert result.code == 3
    assert result.err.count("no management server answers") == 1  # the same again is not told again
    assert fingerpost("get", "rt", "a/b/c", "-w").code == 2


def test_events_tell_once_that_a_server_is_away_and_that_it_is_back(
    environment: dict[str, str], servers: Any, closed_port: str
) -> None:
    servers(silent=(closed_port,))
    with started(environment | {"PYTHONUNBUFFERED": "1"}, "events", "--watch", "-o", "json") as process:
        assert f"error: no management server answers at {closed_port}" in process.stderr.readline()
        assert process.stderr.readline().startswith("hint: ")
        with serving(healthy(), int(closed_port.rpartition(":")[2])):
            assert process.stderr.readline() == "all management servers answer again\n"
        assert "error: no management server answers" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 3
        assert all("apiVersion" not in json.loads(line) for line in process.stdout), "events alone, each on a line"
