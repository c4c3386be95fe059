"""Real processes whose reader has gone, and whose disk is full."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from admin_world import World, healthy

from mgmt.changes.events import Kind

Run = Callable[..., Any]
pytestmark = pytest.mark.timeout(90)
FULL = Path("/dev/full")
ALL = (
    ("events",),
    ("get", "rt"),
    ("check",),
    ("snapshot", "input", "-o", "json"),
    ("snapshot", "output", "-o", "json"),
    ("explain", "route", "http://www.shop.example/old"),
    ("whatif", "--without", "east"),
    ("conflicts",),
    ("cluster", "list"),
    ("explain", "--help"),
    ("__complete", "--", "clu"),
    ("describe", "rt", "shop/none"),
    ("describe", "rt", "shop/none", "-o", "json"),
    ("get", "nonsense"),
    ("explain",),
)


def told() -> World:
    """One of which there is something to tell in every command."""
    world = healthy()
    world.events.add(Kind.CONNECTED, "east", message="first")
    return world


@contextmanager
def nobody_reads() -> Iterator[int]:
    """The end of a pipe of which the other has been closed."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def ended(environment: dict[str, str], arguments: Sequence[str], out: int, err: int = subprocess.PIPE) -> Any:
    command = [sys.executable, "-m", "ctl", *arguments]
    return subprocess.run(command, stdout=out, stderr=err, text=True, env=environment, timeout=60)


def test_a_reader_who_has_gone_does_not_change_the_exit_code(
    environment: dict[str, str], fingerpost: Run, servers: Any
) -> None:
    servers(told())
    for arguments in ALL:
        heard = fingerpost(*arguments)
        with nobody_reads() as out:
            unheard = ended(environment, arguments, out)
            assert (unheard.returncode, unheard.stderr) == (heard.code, heard.err), arguments
            assert ended(environment, arguments, out, out).returncode == heard.code, arguments


def test_what_goes_on_for_ever_ends_with_its_reader(environment: dict[str, str], servers: Any) -> None:
    (served,) = servers(told())
    for arguments in (("events", "-w"), ("get", "rt", "-w", "-o", "json")):
        command = [sys.executable, "-m", "ctl", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.stdout.close()
            served.do(World.edit)
            served.do(lambda world: world.events.add(Kind.DISCONNECTED, "east", message="another"))
            assert process.wait(30) == 0
            assert process.stderr is not None
            assert process.stderr.read() == b""


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [*ALL[:10], ("get", "rt", "-w"), ("events", "-w")], ids=" ".join)
def test_a_full_disk_is_told_in_one_line(environment: dict[str, str], servers: Any, arguments: tuple[str, ...]) -> None:
    servers(told())
    with FULL.open("w") as out:
        done = ended(environment, arguments, out.fileno())
    assert done.returncode == 2, done
    assert done.stderr.splitlines()[-2:] == [
        "error: standard output cannot take the answer: No space left on device",
        "hint: free space there, or write it to another place",
    ]
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_a_failure_that_no_disk_takes_keeps_its_code(environment: dict[str, str], servers: Any) -> None:
    servers(told())
    with FULL.open("w") as out:
        done = ended(environment, ("describe", "rt", "shop/none", "-o", "json"), out.fileno())
    assert (done.returncode, "there is no RouteTable shop/none" in done.stderr) == (1, True)


def test_closed_streams_are_no_mistake(environment: dict[str, str]) -> None:
    script = f"{sys.executable} -m ctl version --client >&- && {sys.executable} -m ctl nonsense 2>&-"
    assert subprocess.run(["sh", "-c", script], env=environment, timeout=60).returncode == 2
