"""`--timeout` is the time of the whole command, also with a server that takes connections and never answers."""

from __future__ import annotations

import socket
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from admin_world import World, healthy

from ctl import deadline
from ctl.__main__ import run
from ctl.commands import objects, wait
from ctl.exits import Code, Failed
from ctl.flags import Flags, current, use

Run = Callable[..., Any]
Start = Callable[..., Any]


@pytest.fixture
def mute() -> Iterator[str]:
    """The kernel takes the connections, and nobody reads them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    "order",
    [
        ("history",),
        ("get", "rt"),
        ("describe", "rt", "shop/www"),
        ("events",),
        ("rollback", "status"),
        ("rollback", "3"),
        ("cluster", "list"),
        ("check",),
        ("version",),
        ("snapshot", "input"),
        ("wait", "rt", "shop/www"),
        ("get", "rt", "--watch"),
        ("events", "--watch"),
        ("diff", "--delete", "rt/shop/www"),
    ],
    ids=" ".join,
)
def test_a_mute_server_keeps_no_command_beyond_its_time(
    servers: Start, fingerpost: Run, mute: str, order: tuple[str, ...]
) -> None:
    servers(silent=(mute,))
    done = fingerpost(*order, "--timeout", "500ms")
    assert (done.code, "within 0.5s" in done.err, "Traceback" in done.err) == (4, True, False), done
    assert "hint: give a longer --timeout" in done.err


@pytest.fixture(scope="module")
def loaded() -> None:
    """What commands import when they begin may take a busy machine longer than the time that they are given."""
    for name in ("conflicts", "diff", "snapshot", "whatif"):
        import_module(f"ctl.commands.{name}")
    import_module("ctl.server")


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("order", [("diff", "--delete", "rt/a/b"), ("whatif", "--without", "east"), ("conflicts",)])
def test_work_that_waits_for_an_answer_tells_who_gave_none(
    servers: Start, fingerpost: Run, mute: str, order: tuple[str, ...]
) -> None:
    servers(silent=(mute,))
    done = fingerpost(*order, "--timeout", "700ms")
    assert done.code == 4
    assert f"error: no answer of the management server at {mute} within 0.7s\n" in done.err


@pytest.mark.spec("C-2")
def test_those_who_answer_in_time_are_heard(servers: Start, fingerpost: Run, mute: str) -> None:
    servers(healthy(), silent=(mute,))
    done = fingerpost("get", "rt", "--timeout", "3s")
    assert (done.code, "shop" in done.out) == (6, True), done
    assert f"{mute} does not answer (no answer before the --timeout of 3s was over)" in done.err


@pytest.mark.parametrize(("order", "waited"), [(("events",), "0.3s"), (("get", "rt"), "0.7s")])
def test_the_time_that_was_waited_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    mute: str,
    order: tuple[str, ...],
    waited: str,
) -> None:
    """Objects may take the server longer: the 30 s of that are shortened here."""
    monkeypatch.setattr(objects, "patience", lambda: 0.4)
    (tmp_path / "config.yaml").write_text(f"current: demo\ncontexts: {{demo: {{server: '{mute}'}}}}\n")
    assert run([*order, "--request-timeout", "300ms", "--config", str(tmp_path / "config.yaml")]) == 3
    assert f"{mute}: no answer within {waited}" in capsys.readouterr().err


def test_wait_tells_what_is_missing_however_long_it_took_to_begin(
    servers: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    servers(World())  # without agents
    monkeypatch.setattr(wait, "check_cluster", lambda _: _busy(1.5))
    monkeypatch.setenv("FINGERPOST_CONFIG", str(tmp_path / "config.yaml"))
    assert run(["wait", "rt", "shop/www", "--timeout", "2s"]) == 4
    assert "RouteTable shop/www not applied within 2s: 0/2 gateways" in capsys.readouterr().out


@pytest.fixture
def a_moment() -> Iterator[None]:
    """A command whose time is over almost at once."""
    former = current()
    use(Flags(wait=0.01))
    deadline.begin()
    yield
    use(former)


def _busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@pytest.mark.usefixtures("a_moment")
def test_work_does_not_go_on_when_its_end_is_taken_for_a_fault_of_an_object() -> None:
    @deadline.in_time
    def work() -> int:
        try:
            _busy(5.0)
        except Exception:  # noqa: BLE001  as the translator does around each object
            return Code.FINDINGS
        return Code.DONE

    with pytest.raises(Failed, match=r"not worked out within 0\.01s"):
        work()


@pytest.mark.usefixtures("a_moment")
def test_an_alarm_that_python_drops_rings_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised in a callback of the garbage collection goes nowhere; imports have such callbacks."""
    dropped: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: dropped.append(told.exc_type))

    class Thing:
        pass

    @deadline.in_time
    def work() -> int:
        thing = Thing()
        kept = weakref.ref(thing, lambda _: _busy(5.0))
        del thing
        _busy(5.0)
        return Code.DONE if kept else Code.USAGE

    with pytest.raises(Failed, match=r"not worked out within 0\.01s"):
        work()
    assert len(dropped) == 1
