"""Work that runs beside a block."""

from __future__ import annotations

import asyncio

import pytest

from fingerpost.background import background


async def _fails(text: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise ValueError(text)


@pytest.mark.spec("M-9")
async def test_one_failure_is_raised_as_it_is() -> None:
    async def fails() -> None:
        raise ValueError("at once") from KeyError("why")

    with pytest.raises(ValueError, match="at once") as beside:
        async with background({"one": fails(), "other": asyncio.Event().wait()}):
            await asyncio.Event().wait()
    assert isinstance(beside.value.__cause__, KeyError)
    with pytest.raises(ZeroDivisionError):
        async with background({"outer": asyncio.Event().wait()}), background({"inner": asyncio.Event().wait()}):
            _ = 1 // 0


@pytest.mark.spec("M-9")
async def test_several_failures_are_a_group() -> None:
    with pytest.raises(ExceptionGroup) as several:
        async with background({name: _fails(name) for name in ("one", "two")}):
            await asyncio.sleep(0)
    assert sorted(str(e) for e in several.value.exceptions) == ["one", "two"]


@pytest.mark.spec("M-9")
async def test_the_block_ends_after_what_runs_beside_it() -> None:
    said: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            said.append("work")

    async with background({"work": work()}):
        await asyncio.sleep(0)
    said.append("after")
    assert said == ["work", "after"]


@pytest.mark.spec("M-9")
async def test_a_cancelled_block_is_cancelled() -> None:
    async def block() -> None:
        async with background({"work": asyncio.Event().wait()}):
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
