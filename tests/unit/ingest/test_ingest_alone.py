"""A replica that has lost Redis, perhaps for itself alone: what others have stored meanwhile is newer than its own."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest
from ingest_support import TABLE, Agent, Replica, until

from mgmt.ingest.kinds import SESSION
from mgmt.store.embedded import EmbeddedRedis
from mgmt.store.errors import StoreError, StoreUnavailable
from mgmt.store.values import Attached, Group, WriteResult, agent_source

pytestmark = pytest.mark.redis


async def _lose_redis(redis: EmbeddedRedis, replica: Replica) -> None:
    """Until `replica` has tried once to come back to it."""
    attach, failed = replica.store.attach, asyncio.Event()

    async def attempt(seq: int) -> Attached:
        try:
            return await attach(seq)
        except StoreError:
            failed.set()
            raise

    replica.store.attach = attempt  # type: ignore[method-assign]
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(15):
            await failed.wait()
    finally:
        os.kill(redis.pid, signal.SIGCONT)


@pytest.mark.spec("M-17")
async def test_who_was_cut_off_asks_redis_before_it_speaks_to_an_agent_that_knows_more(
    start: Any, redis: EmbeddedRedis
) -> None:
    a, b = await start("a/1"), await start("b/1", retry=60.0)
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 1})
    await until(lambda: b.objects() == {"east/shop/www": "1"})
    await _lose_redis(redis, b)
    await until(lambda: a.ingest.synced)
    seq = await east.push_stored({"www": 2, "cart": 1})
    assert not b.ingest.synced, "it tries again in a minute"
    seen: list[dict[str, str]] = []
    publish = b.recorder.publish

    def published(results: Any, version: int, *more: Any) -> None:
        publish(results, version, *more)
        if version > seq:
            seen.append(b.recorder.objects())

    b.recorder.publish = published
    b.ingest.seen(seq + 5)  # an agent that was told by the other one
    await until(lambda: seen, patience=5)
    assert seen[0] == {"east/shop/www": "2", "east/shop/cart": "1"}, "what it remembered was told as something newer"
    assert b.ingest.synced


async def test_with_redis_away_for_everybody_an_agent_that_knows_more_is_served(start: Any) -> None:
    b = await start("b/1", url="redis://127.0.0.1:1")
    (await Agent("east").connect(b)).warm()
    b.ingest.seen(700)
    await until(lambda: b.recorder.published and b.recorder.published[-1] > 700, patience=5)
    assert not b.ingest.synced


@pytest.mark.spec("M-41")
async def test_without_redis_nobody_is_taken_for_one_that_never_was_there(start: Any) -> None:
    """Who starts while Redis is away knows of no cluster whether it was ever connected."""
    b = await start("b/1", url="redis://127.0.0.1:1")
    (await Agent("west").connect(b)).warm()
    await until(lambda: b.state("west") == "Warm")
    assert {name: state.ready for name, state in b.ingest.states.clusters.items()} == {"east": False, "west": True}
    assert b.state("east") == "Registered"


async def test_redis_is_asked_before_an_agent_is_welcome(start: Any, redis: EmbeddedRedis) -> None:
    a, b = await start("a/1"), await start("b/1", retry=60.0)
    east = (await Agent("east").connect(a)).warm()
    await _lose_redis(redis, b)
    await until(lambda: a.ingest.synced)
    await east.push_stored({"www": 2})
    asked = b.ingest.ask_redis()
    assert not asked()
    await until(asked, patience=5)
    assert b.objects() == {"east/shop/www": "2"}
    assert b.ingest.ask_redis()(), "it is there"


async def test_redis_that_is_away_is_asked_once_more_and_not_waited_for(start: Any) -> None:
    b = await start("b/1", url="redis://127.0.0.1:1", retry=60.0)
    await until(lambda: b.ingest._turns.ahead._failed)
    asked = b.ingest.ask_redis()
    assert not asked()
    await until(asked, patience=5)
    assert not b.ingest.synced


@pytest.mark.spec("M-40")
async def test_without_redis_nothing_is_concluded_of_clusters_that_others_feed(
    start: Any, redis: EmbeddedRedis
) -> None:
    """Another replica may have told agents more of them."""
    a, b = await start("a/1"), await start("b/1", retry=60.0)
    east, west = (await Agent("east").connect(a)).warm(), (await Agent("west").connect(b)).warm()
    await east.push_stored({"www": 1})
    await west.push_stored({"www": 1})

    def ready() -> dict[str, bool]:
        return {name: state.ready for name, state in b.ingest.states.clusters.items()}

    await until(lambda: ready() == {"east": True, "west": True})
    begun: list[dict[str, bool]] = []

    def translating() -> None:
        if not b.ingest.synced:
            begun.append(ready())

    await _lose_redis(redis, b)
    b.recorder.on_translate = translating
    await until(lambda: ready() == {"east": False, "west": True})
    west.push({"www": 2})
    await until(lambda: begun)
    assert begun[0] == {"east": False, "west": True}
    b.ingest.seen(b.ingest.seq + 100)  # so it tries again now
    await until(lambda: ready() == {"east": True, "west": True})


@pytest.mark.spec("M-39")
async def test_who_claims_a_source_just_after_redis_forgot_has_not_written_it_yet(start: Any) -> None:
    """That Redis lacks it is no deletion before the new owner has said that it has written everything."""
    a, b = await start("a/1"), await start("b/1")
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 1})
    await until(lambda: b.objects() == {"east/shop/www": "1"})
    hashes, claimed = a.store.hashes, asyncio.Event()

    async def claim_then(cluster: str | None = None) -> Any:
        found = await hashes(cluster)
        if not claimed.is_set():
            claimed.set()
            await b.store.claim(agent_source("east"))
        return found

    a.store.hashes = claim_then
    epoch = a.ingest.epoch
    await a.store._client.run("FLUSHALL")
    await until(lambda: claimed.is_set() and a.ingest.synced and a.ingest.epoch != epoch)
    await a.ingest.settled()
    assert a.objects() == {"east/shop/www": "1"}
    assert a.recorder.removals == []


@pytest.mark.spec("M-39")
async def test_what_redis_forgot_comes_back_with_the_records_last(start: Any) -> None:
    """A server that begins to read in the middle must not take a part for all of a cluster."""
    a = await start("a/1")
    east, west = (await Agent("east").connect(a)).warm(), (await Agent("west").connect(a)).warm()
    await east.push_stored({"www": 1, "cart": 1})
    await west.push_stored({"www": 1})
    await west.leave()
    await until(lambda: a.state("west") == "Cached")
    written: list[tuple[str, str]] = []
    write = a.store.write

    async def watched(groups: tuple[Group, ...], known: int) -> WriteResult:
        written.extend((w.key.cluster, w.key.type) for group in groups for w in group.writes)
        return await write(groups, known)

    a.store.write = watched
    epoch = a.ingest.epoch
    await a.store._client.run("FLUSHALL")
    await until(lambda: a.ingest.synced and a.ingest.epoch != epoch)
    for cluster, source in (("east", 2), ("west", 1)):
        assert written.count((cluster, TABLE)) == source
        last = max(i for i, one in enumerate(written) if one == (cluster, TABLE))
        assert written.index((cluster, SESSION)) > last


@pytest.mark.spec("M-17")
async def test_a_redis_that_is_full_is_read_all_the_same(start: Any, redis: EmbeddedRedis) -> None:
    """What another replica has stored and told is not taken back because this one cannot write."""
    a, b = await start("a/1"), await start("b/1", retry=60.0)
    east, west = (await Agent("east").connect(a)).warm(), (await Agent("west").connect(b)).warm()
    await east.push_stored({"www": 1})
    await west.push_stored({"www": 1})
    await _lose_redis(redis, b)
    await until(lambda: a.ingest.synced)
    await east.push_stored({"www": 2})
    await a.store._client.run("CONFIG", "SET", "maxmemory", 1)
    asked = b.ingest.ask_redis()
    await until(asked, patience=5)
    assert not b.ingest.synced, "it takes no writes"
    assert b.objects() == {"east/shop/www": "2", "west/shop/www": "1"}
    west.push({"www": 3})
    await until(lambda: b.objects()["west/shop/www"] == "3")
    await a.store._client.run("CONFIG", "SET", "maxmemory", 0)
    b.ingest.ask_redis()
    await until(lambda: b.ingest.synced)
    await until(lambda: a.objects() == {"east/shop/www": "2", "west/shop/www": "3"})
    assert b.objects() == a.objects()


@pytest.mark.spec("M-40")
async def test_who_outlives_another_is_alone_only_when_all_of_it_is_read(start: Any) -> None:
    a, b = await start("a/1"), await start("b/1", retry=60.0)
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 1})
    await until(lambda: b.state("east") == "Warm")
    beating, write = b.store.beating, b.store.write
    full = False

    async def beats(replicas: Any) -> Any:
        nonlocal full
        found = await beating(replicas)
        full = a.store.replica not in found
        return found

    async def refused(groups: tuple[Group, ...], known: int) -> WriteResult:
        if full:
            raise StoreUnavailable("full")
        return await write(groups, known)

    b.store.beating, b.store.write = beats, refused
    await a.stop()
    await until(lambda: not b.ingest.synced and b.state("east") == "Cached")
    await b.ingest.settled()
    assert not b.ingest.states.clusters["east"].ready, "what the other one has stored last may not have been read"


@pytest.mark.spec("M-40")
async def test_a_replica_that_fills_redis_again_is_not_taken_for_dead(start: Any) -> None:
    """Its sign of life went with the rest: it comes before the records that name it."""
    a = await start("a/1")
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 1})
    beat, renew, regains = a.store.beat, a.ingest._renew, 0

    async def beats(ttl: float) -> None:
        nonlocal regains
        regains += not a.ingest.synced
        await beat(ttl)

    a.store.beat = beats
    a.ingest._renew = asyncio.Event().wait  # its next beat is far away
    epoch = a.ingest.epoch
    await a.store._client.run("FLUSHALL")
    await until(lambda: a.ingest.synced and a.ingest.epoch != epoch)
    assert regains
    b = await start("b/1")
    await until(lambda: b.state("east") == "Warm")
    assert not b.ingest._liveness.alone
    a.ingest._renew = renew


@pytest.mark.spec("M-40")
async def test_who_takes_itself_for_the_only_one_is_corrected_by_an_agent_that_knows_more(start: Any) -> None:
    """The other one was cut off for longer than its sign of life lasts, and has told its agents more."""
    a, b = await start("a/1"), await start("b/1")
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 1})
    await until(lambda: b.state("east") == "Warm")
    heal = a.cut()
    await until(lambda: b.state("east") == "Cached" and b.ingest._alone_at > 0)
    b.cut()
    b.ingest._touch()
    await b.ingest.settled()
    assert b.ingest.states.clusters["east"].ready, "it cannot know better"
    b.ingest.seen(b.ingest.seq + 1)
    asked = b.ingest.ask_redis()
    await until(asked)
    assert not b.ingest.states.clusters["east"].ready
    heal()


@pytest.mark.spec("M-17")
async def test_no_number_stands_for_two_contents(start: Any) -> None:
    """What was counted without Redis was told; what Redis brings gets a number of its own."""
    a, b = await start("a/1"), await start("b/1")
    east = (await Agent("east").connect(b)).warm()
    await east.push_stored({"www": 1})
    await until(lambda: a.objects() == b.objects() == {"east/shop/www": "1"} and a.state("east") == "Warm")
    told: dict[int, set[str]] = {}
    publish = b.recorder.publish

    def published(results: Any, version: int, *more: Any) -> None:
        publish(results, version, *more)
        told.setdefault(version, set()).add(str(b.recorder.objects()))

    b.recorder.publish = published
    heal = b.cut()
    await b.ingest.settled()
    east.push({"www": 2})
    await until(lambda: b.recorder.objects() == {"east/shop/www": "2"})
    again = await Agent("east").connect(a)
    while a.ingest.seq < b.ingest.seq:
        again.push({"z": a.ingest.seq})
        await a.ingest.settled()
    heal()
    await until(lambda: b.ingest.synced and b.objects() == a.objects())
    await b.ingest.settled()
    assert [contents for contents in told.values() if len(contents) > 1] == []
