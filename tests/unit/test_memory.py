"""Memory that a rush took goes back to the system; the collector does not walk what stays."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from fingerpost import memory


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(memory, "_AGAIN", (0.01,))
    monkeypatch.setattr(memory, "_LOOK", 0.01)
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


async def test_what_a_later_rush_took_is_given_back(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = gc.get_freeze_count()
    given_back = asyncio.Event()
    resident, looked = memory.resident, asyncio.Event()
    give_back, loop = memory.give_back, asyncio.get_running_loop()

    def told() -> None:
        give_back()
        loop.call_soon_threadsafe(given_back.set)

    def look() -> int:
        looked.set()
        return resident()

    monkeypatch.setattr(memory, "give_back", told)
    monkeypatch.setattr(memory, "resident", look)
    settling = asyncio.create_task(memory.settle())
    async with asyncio.timeout(20):
        await given_back.wait()  # after the start
        assert gc.get_freeze_count() > frozen
        given_back.clear()
        await looked.wait()
        before = resident()
        rush = [bytes(3000) for _ in range(50_000)]
        last = rush[-1]  # the C library keeps what is free below it
        del rush
        await given_back.wait()
        assert resident() < before + 30_000_000
    assert last
    settling.cancel()
