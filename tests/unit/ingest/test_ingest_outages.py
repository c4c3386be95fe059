"""Redis goes away, comes back, comes back empty: the replicas go on, nothing is deleted, in the end Redis holds all."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from ingest_support import Agent, Folder, Replica, until
from test_ingest_replicas import agree

from mgmt.store.embedded import EmbeddedRedis, embedded_redis

pytestmark = pytest.mark.redis


@contextmanager
def stopped(redis: EmbeddedRedis) -> Any:
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(redis.pid, signal.SIGCONT)


@pytest.mark.spec("M-39")
async def test_flushall_changes_nothing_and_redis_is_whole_again(start: Any, folder: Folder) -> None:
    a, b = await start("a/1"), await start("b/1")
    folder.register("gone")
    east, west = (await Agent("east").connect(a)).warm(), (await Agent("west").connect(b)).warm()
    await until(lambda: a.state("gone") == "Registered")
    left = (await Agent("gone").connect(a)).warm()
    folder.put("www", b"1")
    a.ingest.pin({"pin": b"{}"})
    await left.push_stored({"cached": 1})
    await left.leave()
    await east.push_stored({"www": 1})
    await west.push_stored({"cart": 1})
    before = await agree(a, b)
    assert set(before) == {"//pin", "east/shop/www", "west/shop/cart", "gone/shop/cached", "mgmt/shop/www"}
    seq = a.ingest.seq
    await a.store._client.run("FLUSHALL")
    await until(lambda: not a.ingest.synced or a.ingest.seq > seq)
    await until(lambda: not b.ingest.synced or b.ingest.seq > seq)
    assert await agree(a, b) == before
    assert a.recorder.removals == b.recorder.removals == []
    assert a.state("gone") == "Cached"
    assert a.ingest.seq >= seq
    await east.push_stored({"www": 2})
    assert east.goodbye == west.goodbye == []
    assert (await agree(a, b))["east/shop/www"] == "2"


@pytest.mark.spec("M-40")
async def test_with_redis_stopped_changes_go_on_and_are_stored_when_it_is_back(
    start: Any, redis: EmbeddedRedis, folder: Folder
) -> None:
    timing = dict.fromkeys(("write_timeout", "read_timeout", "dial_timeout"), 1.5)
    a = await start("a/1", **timing)
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 0, "old": 0})
    answered = len(east.stored)
    with stopped(redis):
        east.push({"www": 1})
        await until(lambda: not a.ingest.synced)
        for i in range(2, 30):
            began, published = monotonic(), len(a.recorder.published)
            east.push({"www": i, "old": None})
            folder.put("here", b"%d" % i)
            await until(lambda published=published: len(a.recorder.published) > published)
            assert monotonic() - began < 1.2, "nothing waits for Redis any more"
        await until(lambda: a.recorder.objects() == {"east/shop/www": "29", "mgmt/shop/here": "29"})
        assert len(east.stored) == answered, "not stored, so not called stored"
        west = (await Agent("west").connect(a)).warm()
        west.push({"cart": 1})
    await until(lambda: len(east.stored) == answered + 29 and west.stored)
    assert set(await agree(a)) == {"east/shop/www", "mgmt/shop/here", "west/shop/cart"}
    assert east.goodbye == west.goodbye == []
    assert a.recorder.published == sorted(a.recorder.published)


async def test_changes_of_others_are_late_but_never_a_deletion(start: Any, redis: EmbeddedRedis) -> None:
    a, b = await start("a/1"), await start("b/1")
    east, west = (await Agent("east").connect(a)).warm(), (await Agent("west").connect(b)).warm()
    await east.push_stored({"www": 1})
    await west.push_stored({"cart": 1})
    await agree(a, b)
    with stopped(redis):
        east.push({"www": 2})
        west.push({"cart": 2, "new": 1})
        await until(lambda: not a.ingest.synced and not b.ingest.synced)
        assert a.objects()["west/shop/cart"] == "1"
    assert await agree(a, b) == {"east/shop/www": "2", "west/shop/cart": "2", "west/shop/new": "1"}
    assert a.recorder.removals == b.recorder.removals == []


class Restartable:
    """A Redis at one address that can be lost with its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.redis = EmbeddedRedis(folder)

    async def start(self, *, empty: bool) -> None:
        if empty:
            (self.folder / "appendonly.aof").unlink(missing_ok=True)
        self.redis = EmbeddedRedis(self.folder)
        await self.redis.start()

    async def stop(self) -> None:
        await self.redis.stop()


@pytest.fixture
async def restartable(tmp_path: Path) -> AsyncIterator[Restartable]:
    (tmp_path / "lost").mkdir()
    found = Restartable(tmp_path / "lost")
    yield found
    await found.stop()


async def test_what_the_owner_deleted_while_redis_was_lost_stays_deleted_everywhere(
    start: Any, restartable: Restartable
) -> None:
    await restartable.start(empty=True)
    a = await start("a/1", url=restartable.redis.url)
    b = await start("b/1", url=restartable.redis.url)
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"keep": 1, "www": 1})
    await agree(a, b)
    await restartable.stop()
    await until(lambda: not a.ingest.synced and not b.ingest.synced)
    east.push({"www": None, "new": 1})
    assert b.objects()["east/shop/www"] == "1"
    await restartable.start(empty=True)
    assert await agree(a, b) == {"east/shop/keep": "1", "east/shop/new": "1"}


@pytest.mark.spec("M-41")
async def test_an_older_redis_does_not_take_the_replicas_back(start: Any, restartable: Restartable) -> None:
    await restartable.start(empty=True)
    a = await start("a/1", url=restartable.redis.url)
    b = await start("b/1", url=restartable.redis.url)
    east, west = (await Agent("east").connect(a)).warm(), (await Agent("west").connect(b)).warm()
    await east.push_stored({"www": 1})
    await agree(a, b)
    await a.store._client.run("BGREWRITEAOF")
    old = (restartable.folder / "appendonly.aof").read_bytes()
    await east.push_stored({"www": 2, "new": 1})
    await west.push_stored({"cart": 1})
    before, seq = await agree(a, b), a.ingest.seq
    await restartable.stop()
    await until(lambda: not a.ingest.synced and not b.ingest.synced)
    (restartable.folder / "appendonly.aof").write_bytes(old)
    await restartable.start(empty=False)
    assert await agree(a, b) == before
    assert a.recorder.removals == b.recorder.removals == []
    assert a.ingest.seq >= seq


async def test_a_server_that_starts_before_its_redis_works_and_joins_later(
    start: Any, restartable: Restartable, folder: Folder
) -> None:
    await restartable.start(empty=True)
    url = restartable.redis.url
    first = await start("a/1", url=url)
    gone = (await Agent("west").connect(first)).warm()
    await gone.push_stored({"cart": 1})
    await first.stop()
    await restartable.stop()
    a = await start("a/2", url=url)
    folder.put("www", b"1")
    east = (await Agent("east").connect(a)).warm()
    east.push({"www": 1})
    await until(lambda: a.recorder.objects() == {"east/shop/www": "1", "mgmt/shop/www": "1"})
    assert not a.ingest.synced
    await restartable.start(empty=False)
    await until(lambda: east.stored)
    assert await agree(a) == {"east/shop/www": "1", "mgmt/shop/www": "1", "west/shop/cart": "1"}
    assert a.state("west") == "Cached"


async def test_a_session_that_moved_during_the_outage_is_not_taken_back(tmp_path: Path, folder: Folder) -> None:
    async with embedded_redis(tmp_path / "r") as redis:
        a = await Replica(redis.url, "a/1", folder).start()
        b = await Replica(redis.url, "b/1", folder).start()
        old = (await Agent("east").connect(a)).warm()
        await old.push_stored({"www": 1})
        a.ingest._turns.lose(ConnectionError("only this replica lost its way"))  # type: ignore[arg-type]
        old.push({"ghost": 1})
        new = (await Agent("east").connect(b)).warm()
        await new.push_stored({"www": 2})
        await until(lambda: old.goodbye)
        assert await agree(a, b) == {"east/shop/www": "2"}
        assert new.goodbye == []
        await a.stop()
        await b.stop()
