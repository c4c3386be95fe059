"""A server that was busy itself does not take what Redis has answered meanwhile for silence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from mgmt.store.client import Client, Script
from mgmt.store.embedded import EmbeddedRedis
from mgmt.store.settings import StoreSettings

pytestmark = pytest.mark.redis
_LIMIT = 0.3  # seconds
_ECHO = Script("return ARGV[1]")

_WAYS: dict[str, Callable[[Client], Awaitable[object]]] = {
    "run": lambda client: client.run("ECHO", "x", timeout=_LIMIT),
    "script": lambda client: client.script(_ECHO, "x", timeout=_LIMIT),
    "written": lambda client: client.written(_ECHO, "x", timeout=_LIMIT),
    "many": lambda client: client.many([("ECHO", "x")], _LIMIT),
}


@pytest.mark.parametrize("way", _WAYS)
async def test_an_answer_that_came_while_the_server_was_busy_counts(redis: EmbeddedRedis, way: str) -> None:
    client = Client(StoreSettings(url=redis.url))
    try:
        await client.run("PING")  # connected
        asking = asyncio.ensure_future(_WAYS[way](client))
        await asyncio.sleep(0)  # it is on its way
        time.sleep(2 * _LIMIT)  # noqa: ASYNC251 - the busy time
        answer = await asking
        assert answer in (b"x", [b"x"])
    finally:
        await client.close()
