"""The embedded Redis: what it answered survives SIGKILL, and a leftover neither blocks nor stays."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fingerpost.objects import ObjectKey, content_hash
from mgmt.store.embedded import EmbeddedRedis, embedded_redis
from mgmt.store.errors import StoreMisconfigured
from mgmt.store.redis_store import RedisStore
from mgmt.store.settings import StoreSettings
from mgmt.store.values import Group, Stored, Write, agent_source
from tests.orphans import kill_redis

pytestmark = pytest.mark.redis

EAST = agent_source("east")

WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from fingerpost.objects import ObjectKey, content_hash
from mgmt.store.embedded import embedded_redis
from mgmt.store.redis_store import RedisStore
from mgmt.store.settings import StoreSettings
from mgmt.store.values import Group, Stored, Write, agent_source

async def main():
    async with embedded_redis(Path(sys.argv[1])) as redis:
        store = RedisStore(StoreSettings(url=redis.url), "writer")
        await store.attach(0)
        fence, seq = await store.claim(agent_source("east")), 0
        for i in range(10_000):
            body = b"%d" % i * 500
            key = ObjectKey("t/T", "east", "n", f"o{i}")
            write = Write(key, Stored(content_hash(body), body))
            result = await store.write([Group(fence.source, fence, (write,))], seq)
            seq = result.seq
            os.write(1, b"%d %d\\n" % (seq, redis.pid))

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def no_orphan(tmp_path: Path) -> Iterator[None]:
    yield
    kill_redis(tmp_path / "r")


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def names_in(redis: EmbeddedRedis) -> tuple[int, int]:
    store = RedisStore(StoreSettings(url=redis.url), "reader")
    await store.attach(0)
    loaded = await store.load()
    await store.close()
    assert loaded.corrupt == ()
    return loaded.seq, len(loaded.inputs)


async def kill_writer_mid_stream(folder: Path, *, redis_too: bool) -> tuple[int, int]:
    """The last seq that was answered, and the pid of its Redis."""
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    last = pid = 0
    try:
        while last < 200:
            last, pid = map(int, (await writer.stdout.readline()).split())
        if redis_too:
            os.kill(pid, signal.SIGKILL)
    finally:
        if writer.returncode is None:
            writer.kill()
    for line in (await writer.stdout.read()).splitlines():  # answered before the kill, read after it
        last, pid = map(int, line.split())
    await writer.wait()
    return last, pid


@pytest.mark.spec("M-43")
async def test_every_answered_write_survives_sigkill_of_server_and_redis(tmp_path: Path) -> None:
    answered, _ = await kill_writer_mid_stream(tmp_path / "r", redis_too=True)
    async with embedded_redis(tmp_path / "r") as redis:
        seq, count = await names_in(redis)
    assert seq == count
    assert answered <= seq <= answered + 1, "the one in flight may be there or not"


async def test_a_redis_that_outlived_its_server_is_taken_over_and_ends_with_the_next(tmp_path: Path) -> None:
    answered, pid = await kill_writer_mid_stream(tmp_path / "r", redis_too=False)
    async with embedded_redis(tmp_path / "r") as redis:
        assert redis.pid == pid
        assert (await names_in(redis))[0] >= answered
    assert not exists(pid)


async def test_a_leftover_that_hangs_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mgmt.store.embedded._LEFTOVER_TIMEOUT", 0.2)
    _, pid = await kill_writer_mid_stream(tmp_path / "r", redis_too=False)
    os.kill(pid, signal.SIGSTOP)
    async with embedded_redis(tmp_path / "r") as redis:
        assert redis.pid != pid
        assert (await names_in(redis))[1] >= 200
    assert not exists(pid)


async def test_a_clean_end_leaves_no_process_and_keeps_the_data(tmp_path: Path) -> None:
    body = b"{}"
    async with embedded_redis(tmp_path / "r") as redis:
        pid = redis.pid
        store = RedisStore(StoreSettings(url=redis.url), "a")
        await store.attach(0)
        fence = await store.claim(EAST)
        write = Write(ObjectKey("t/T", "east", "n", "o"), Stored(content_hash(body), body))
        await store.write([Group(EAST, fence, (write,))], 0)
        await store.close()
    assert not exists(pid)
    async with embedded_redis(tmp_path / "r") as redis:
        assert await names_in(redis) == (1, 1)


async def test_a_start_that_is_cancelled_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: asyncio.Future[EmbeddedRedis] = asyncio.get_running_loop().create_future()

    async def silent(redis: EmbeddedRedis, patience: float) -> bool:
        started.set_result(redis)
        return await asyncio.Event().wait()

    monkeypatch.setattr(EmbeddedRedis, "_answers", silent)
    task = asyncio.create_task(embedded_redis(tmp_path / "r").__aenter__())
    redis = await started
    pid = redis.pid
    assert exists(pid)
    task.cancel()
    await asyncio.wait([task])
    left = exists(pid)
    await redis.stop()
    assert not left


async def test_two_servers_on_one_folder_is_a_clear_mistake(tmp_path: Path) -> None:
    async with embedded_redis(tmp_path / "r"):
        with pytest.raises(StoreMisconfigured, match="in use by another server"):
            async with embedded_redis(tmp_path / "r"):
                pass


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StoreMisconfigured, match=rf"{port}.*[Aa]ddress already in use"):
            async with embedded_redis(tmp_path / "r", port=port):
                pass


async def test_a_state_folder_with_a_long_path_works(tmp_path: Path) -> None:
    async with embedded_redis(tmp_path / ("long" * 30)) as redis:
        assert await names_in(redis) == (0, 0)
