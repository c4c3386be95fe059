"""A measurement leaves nothing behind: no process, no connection, no noise."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from bench import processes, world
from bench.gateway import ADDRESS, ANSWER, backend
from mgmt.store.embedded import EmbeddedRedis
from tests.orphans import kill_redis


@pytest.mark.redis
def test_a_server_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    world.write_management(tmp_path, ["c0"], 1)
    redis = tmp_path / "state" / "mgmt" / "redis"
    try:
        with processes.server(tmp_path) as (pid, _, _):
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert not EmbeddedRedis(redis)._running(), "its Redis outlived it"
    finally:
        kill_redis(redis)


async def test_the_backend_ends_with_its_connections() -> None:
    async with backend() as port:
        reader, writer = await asyncio.open_connection(ADDRESS, port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.readuntil(ANSWER)).startswith(b"HTTP/1.1 200 OK")
    assert await reader.read() == b""
    assert asyncio.all_tasks() == {asyncio.current_task()}
    writer.close()
