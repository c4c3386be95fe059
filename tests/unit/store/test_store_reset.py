"""A connection to Redis that lies idle may be reset by what stands between: that is an outage, and a short one."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from mgmt.store.client import Client, Script
from mgmt.store.embedded import EmbeddedRedis, embedded_redis
from mgmt.store.errors import StoreUnavailable, converted
from mgmt.store.settings import StoreSettings
from tests.unit.relay.support import until

_ECHO = Script("return ARGV[1]")
_AT_ONCE = struct.pack("ii", 1, 0)  # an end without lingering is a reset

_WAYS: dict[str, Callable[[Client], Awaitable[object]]] = {
    "run": lambda client: client.run("ECHO", "x"),
    "script": lambda client: client.script(_ECHO, "x"),
    "written": lambda client: client.written(_ECHO, "x", timeout=5),
    "of replicas": lambda client: client.written(_ECHO, "x", timeout=5),
    "many": lambda client: client.many([("ECHO", "x")], 5),
}


class _Between:
    """Passes on what both ends say, until `reset`."""

    def __init__(self, redis: EmbeddedRedis) -> None:
        self._redis, self._taken = redis, list[asyncio.StreamWriter]()
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.reset()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._taken.append(writer)
        there, to_redis = await asyncio.open_unix_connection(self._redis.socket)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, to_redis), name="to redis")
                group.create_task(_copy(there, writer), name="from redis")
        finally:
            to_redis.close()

    def reset(self) -> None:
        while self._taken:
            writer = self._taken.pop()
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


async def _first_and_next(folder: Path, way: str) -> tuple[object, object]:
    """The answers to two commands after the reset."""
    async with embedded_redis(folder) as redis:
        between = _Between(redis)
        async with between.running():
            client = Client(StoreSettings(url=f"redis://127.0.0.1:{between.port}"))
            client._replicated = way == "of replicas"
            try:
                await _WAYS[way](client)  # connected
                idle: Any = client._redis.connection_pool._available_connections
                assert len(idle) == 1
                between.reset()
                await until(idle[0]._writer.transport.is_closing)
                return await _answer(client, way), await _answer(client, way)
            finally:
                await client.close()


async def _answer(client: Client, way: str) -> object:
    try:
        return await _WAYS[way](client)
    except StoreUnavailable as away:
        return away


@pytest.mark.redis
@pytest.mark.parametrize("way", _WAYS)
def test_a_connection_that_was_reset_while_idle_is_an_outage_of_one_command(tmp_path: Path, way: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # the loop of the servers
        first, then = runner.run(_first_and_next(tmp_path / "redis", way))
    assert isinstance(first, StoreUnavailable) or first in (b"x", [b"x"])
    assert then in (b"x", [b"x"])


def test_a_bug_is_no_outage() -> None:
    with pytest.raises(RuntimeError, match="of ours"), converted("here", "the settings"):
        raise RuntimeError("a bug of ours")
