"""What a gateway's proxies hear of is in its file already: a killed agent that comes back takes nothing back."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from xds_support import GATEWAY, Rule, routes, table

from agent.apply.disk import Disk
from agent.apply.gateway import GatewayState
from fingerpost.background import background
from tests.unit.relay.support import until

pytestmark = pytest.mark.spec("M-9")


def _changed(disk: Disk, state: GatewayState, version: int, *names: str) -> None:
    wanted = routes([Rule(table(n), "cart", f"/{n}", host=f"{n}.example") for n in names])
    state.apply(version, {("routes", "http"): wanted}, {}, confirmed=True, now=version)
    disk.changed(state, [("routes", "http")])


def _cut_off(folder: Path) -> None:
    (file,) = folder.glob("*.state")
    file.write_bytes(file.read_bytes()[:-3])


async def test_a_change_is_kept_when_it_is_told(tmp_path: Path) -> None:
    disk, state = Disk(tmp_path), GatewayState(GATEWAY)
    assert list(disk.load()) == []
    _changed(disk, state, 1, "a")
    await disk.flush()  # of a new gateway: all of it
    _changed(disk, state, 2, "a", "b")
    (kept,) = Disk(tmp_path).load()  # SIGKILL
    assert (kept.version, kept.wanted) == (2, state.wanted)


async def test_a_new_gateway_is_kept_without_delay(tmp_path: Path) -> None:
    """An agent that is killed soon after it has heard of its first gateway must not come back with nothing."""
    disk, state = Disk(tmp_path, interval=3600.0), GatewayState(GATEWAY)
    assert list(disk.load()) == []
    async with background({"disk": disk.run()}):
        _changed(disk, state, 1, "a")
        await until(lambda: list(tmp_path.glob("*.state")))
        _changed(disk, state, 2, "a", "b")
        (kept,) = Disk(tmp_path).load()  # SIGKILL
    assert (kept.version, kept.wanted) == (2, state.wanted)


async def test_a_restarted_agent_goes_on_with_the_file(tmp_path: Path) -> None:
    disk, state = Disk(tmp_path), GatewayState(GATEWAY)
    list(disk.load())
    _changed(disk, state, 1, "a")
    await disk.flush()
    again = Disk(tmp_path)
    (state,) = again.load()
    _changed(again, state, 2, "a", "b")
    (kept,) = Disk(tmp_path).load()
    assert (kept.version, kept.wanted) == (2, state.wanted)


async def test_a_record_that_was_cut_off_does_not_spoil_what_is_written_after_it(tmp_path: Path) -> None:
    disk, state = Disk(tmp_path), GatewayState(GATEWAY)
    list(disk.load())
    _changed(disk, state, 1, "a")
    await disk.flush()
    _changed(disk, state, 2, "a", "b")
    _cut_off(tmp_path)
    again = Disk(tmp_path)
    (state,) = again.load()
    assert state.version == 1
    _changed(again, state, 3, "c")
    await again.flush()
    _changed(again, state, 4, "c", "d")
    (kept,) = Disk(tmp_path).load()
    assert (kept.version, kept.wanted) == (4, state.wanted)


async def test_a_change_of_a_file_that_has_grown_does_not_wait_for_its_replacement(tmp_path: Path) -> None:
    disk, state = Disk(tmp_path), GatewayState(GATEWAY)
    list(disk.load())
    _changed(disk, state, 1, "a")
    await disk.flush()
    disk._journals[GATEWAY]._tail = 2 << 20
    for version, names in ((2, "ab"), (3, "abc")):
        _changed(disk, state, version, *names)
        (kept,) = Disk(tmp_path).load()
        assert (kept.version, kept.wanted) == (version, state.wanted)
    assert disk._journals[GATEWAY].is_due
    write = disk._next

    def interrupted() -> Callable[[], None]:
        """A change just before the thread begins; what is killed then has the file of before."""
        written = write()
        _changed(disk, state, 4, "b")
        (kept,) = Disk(tmp_path).load()
        assert (kept.version, kept.wanted) == (4, state.wanted)
        return written

    disk._next = interrupted  # type: ignore[method-assign]
    await disk.flush()
    assert not disk._journals[GATEWAY].is_due
    _changed(disk, state, 5, "b", "d")
    (kept,) = Disk(tmp_path).load()
    assert (kept.version, kept.wanted) == (5, state.wanted)


async def test_what_changes_while_the_file_is_replaced_is_kept_too(tmp_path: Path) -> None:
    disk, state = Disk(tmp_path), GatewayState(GATEWAY)
    list(disk.load())
    _changed(disk, state, 1, "a")
    write = disk._next

    def interrupted() -> object:
        written = write()
        _changed(disk, state, 2, "a", "b")
        return written

    disk._next = interrupted  # type: ignore[method-assign, assignment]
    await disk.flush()
    (kept,) = Disk(tmp_path).load()
    assert kept.version == 2


async def test_records_are_appended_to_the_file_that_replaced_another(tmp_path: Path) -> None:
    """Lists come, change and go; each time the file holds them all, whether its last record was a small one or not."""
    disk, state = Disk(tmp_path), GatewayState(GATEWAY)
    list(disk.load())
    for version in range(1, 40):
        name = f"l{version % 3}"
        wanted = None if version % 5 == 0 else routes([Rule(table("a"), "cart", f"/{version}", host="a.example")])
        state.apply(version, {("routes", name): wanted}, {}, confirmed=True, now=version)
        if version % 7 == 0:
            disk._journals[GATEWAY].restart()
        disk.changed(state, [("routes", name)])
        await disk.flush()  # of the first record, and of those after a restart
        (kept,) = Disk(tmp_path).load()
        assert (kept.version, kept.wanted) == (version, state.wanted)
    assert len(disk._files) == 1


async def test_the_last_small_record_does_not_leave_the_file_open(tmp_path: Path) -> None:
    disk, state = Disk(tmp_path), GatewayState(GATEWAY)
    list(disk.load())
    running = asyncio.create_task(disk.run())
    _changed(disk, state, 1, "a")
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert not disk._files
    (kept,) = Disk(tmp_path).load()
    assert kept.version == 1


async def test_what_still_waits_for_a_thread_at_the_end_is_written(tmp_path: Path) -> None:
    loop, gate = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    disk, state = Disk(tmp_path, interval=0), GatewayState(GATEWAY)
    list(disk.load())
    busy = loop.run_in_executor(None, gate.wait)
    running = asyncio.create_task(disk.run())
    _changed(disk, state, 1, "a")
    await until(lambda: not disk._dirty)
    running.cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.wait([running, busy])
    (kept,) = Disk(tmp_path).load()
    assert (kept.version, kept.wanted) == (1, state.wanted)


@pytest.mark.parametrize("cancelled", [1, 2])
async def test_what_changes_while_the_file_is_replaced_at_the_end_is_kept_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancelled: int
) -> None:
    loop, held, gate, fsync = asyncio.get_running_loop(), threading.Event(), threading.Event(), os.fsync

    def slow(file: int) -> None:
        fsync(file)
        if threading.current_thread() is not threading.main_thread():
            held.set()
            gate.wait()

    disk, state, other = Disk(tmp_path, interval=0), GatewayState(GATEWAY), GatewayState("ingress/other")
    list(disk.load())
    _changed(disk, state, 1, "a")
    await disk.flush()
    disk._journals[GATEWAY]._tail = 2 << 20
    monkeypatch.setattr(os, "fsync", slow)
    running = asyncio.create_task(disk.run())
    _changed(disk, state, 2, "a", "b")
    await until(held.is_set)
    _changed(disk, state, 3, "a", "b", "c")
    _changed(disk, other, 1, "a")
    for _ in range(cancelled):
        running.cancel()
        await asyncio.sleep(0)
    _changed(disk, state, 4, "d")
    gate.set()
    await asyncio.wait([running])
    await loop.shutdown_default_executor()
    kept = {found.scope: (found.version, found.wanted) for found in Disk(tmp_path).load()}
    assert kept == {GATEWAY: (4, state.wanted), other.scope: (1, other.wanted)}
