"""Waiting for others: only what they leave us waiting counts."""

from __future__ import annotations

import asyncio
import time

import pytest

from fingerpost.patience import patience


def _busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def test_who_is_busy_itself_hears_what_has_come_meanwhile() -> None:
    reader, writer = await _pair()
    loop = asyncio.get_running_loop()
    writer.write(b"answer")
    loop.call_soon(_busy, 0.4)
    async with patience(0.2):
        assert await reader.readexactly(6) == b"answer"
        for _ in range(9):  # a client of Redis or of gRPC hands it on over several rounds of the loop
            await asyncio.sleep(0)
    writer.close()


async def test_who_is_silent_is_not_waited_for() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with patience(0.1):
            await asyncio.Event().wait()
    assert time.monotonic() - began >= 0.1


async def test_who_is_busy_again_and_again_gives_up_all_the_same() -> None:
    loop = asyncio.get_running_loop()
    timer = loop.call_soon(lambda: None)

    def stall() -> None:
        nonlocal timer
        _busy(0.15)
        timer = loop.call_soon(stall)

    loop.call_soon(stall)
    async with asyncio.timeout(30):
        with pytest.raises(TimeoutError):
            async with patience(0.5):
                await asyncio.Event().wait()
    timer.cancel()


async def test_an_error_inside_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="inside"):
        async with patience(5):
            raise ValueError("inside")


async def _pair() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    taken: asyncio.Future[asyncio.StreamReader] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda r, _: taken.set_result(r), "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    reader = await taken
    server.close()
    return reader, writer
