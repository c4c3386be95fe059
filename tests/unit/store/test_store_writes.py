"""Inputs, sequence and stream: what one replica writes, another one gets, in order and with the same numbers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import pytest

from fingerpost.objects import ObjectKey, content_hash
from mgmt.store.embedded import EmbeddedRedis
from mgmt.store.errors import StoreChanged, StoreMisconfigured, StoreUnavailable
from mgmt.store.redis_store import RedisStore, is_too_old
from mgmt.store.settings import StoreSettings
from mgmt.store.values import SERVER, Entry, Fence, Group, Stored, StoreStatus, Write, agent_source

pytestmark = pytest.mark.redis

TABLE = "networking.gloo.solo.io/RouteTable"
EAST = agent_source("east")


def key(name: str, cluster: str = "east", type_: str = TABLE) -> ObjectKey:
    return ObjectKey(type_, cluster, "shop", name)


def stored(text: str) -> Stored:
    body = text.encode()
    return Stored(content_hash(body), body)


def upserts(fence: Fence, **objects: str) -> Group:
    return Group(fence.source, fence, tuple(Write(key(k), stored(v)) for k, v in objects.items()))


Connect = Callable[..., Awaitable[RedisStore]]


@pytest.fixture
async def connect(redis: EmbeddedRedis) -> AsyncIterator[Connect]:
    made: list[RedisStore] = []

    async def connect(replica: str, *, at_least: int = 0, attach: bool = True, **settings: object) -> RedisStore:
        store = RedisStore(StoreSettings(url=redis.url, **{"block": 0.05, **settings}), replica)  # type: ignore[arg-type]
        made.append(store)
        if attach:
            await store.attach(at_least)
        return store

    yield connect
    for store in made:
        await store.close()


async def test_seq_counts_changes_and_a_later_load_sees_them(connect: Connect) -> None:
    store = await connect("a")
    fence = await store.claim(EAST)
    assert (await store.write([upserts(fence, www="1", api="2")], 0)).seq == 2
    gone = Group(EAST, fence, (Write(key("api"), None),))
    assert (await store.write([gone], 2)).seq == 3
    loaded = await (await connect("b")).load()
    assert loaded.seq == 3
    assert loaded.inputs == {key("www"): stored("1")}
    assert await store.hashes() == {key("www"): stored("1").hash}


async def test_a_write_brings_what_others_wrote_before_it(connect: Connect) -> None:
    a, b = await connect("a"), await connect("b")
    east = await a.claim(EAST)
    west = await b.claim(agent_source("west"))
    await a.write([upserts(east, www="1", api="1")], 0)
    await a.write([upserts(east, www="2")], 2)
    mine = Group(west.source, west, (Write(key("cart", "west"), stored("c")),))
    result = await b.write([mine], 0)
    assert result.seq == 4
    assert set(result.missed) == {Entry(key("www"), stored("2")), Entry(key("api"), stored("1"))}
    assert (await b.write([], 4)).missed == ()


@pytest.mark.parametrize("blocked", [False, True], ids=["before", "while waiting"])
async def test_the_tail_wakes_for_others_and_not_for_oneself(connect: Connect, blocked: bool) -> None:
    a, b = await connect("a"), await connect("b")
    east = await a.claim(EAST)
    west = await b.claim(agent_source("west"))

    async def change() -> None:
        await a.write([upserts(east, www="1")], 0)
        await b.write([Group(west.source, west, (Write(key("cart", "west"), stored("c")),))], 1)

    async with asyncio.timeout(5), aclosing(a.tail(0)) as tail, asyncio.TaskGroup() as group:
        if blocked:
            group.create_task(change(), name="change")
        else:
            await change()
        assert await anext(tail) == 2


async def test_the_newer_claim_refuses_the_older_writer_only(connect: Connect) -> None:
    a, b = await connect("a"), await connect("b")
    old = await a.claim(EAST)
    other = await a.claim(agent_source("west"))
    new = await b.claim(EAST)
    await b.write([upserts(new, www="new")], 0)
    west = Group(other.source, other, (Write(key("cart", "west"), stored("c")),))
    result = await a.write([upserts(old, www="old", more="x"), west], 0)
    assert result.refused == {EAST}
    assert result.seq == 2
    assert result.missed == (Entry(key("www"), stored("new")),)
    assert (await b.load()).inputs == {key("www"): stored("new"), key("cart", "west"): stored("c")}


async def test_a_reader_behind_the_trimmed_stream_is_told_so(connect: Connect) -> None:
    a, b = await connect("a", stream_max=10), await connect("b", stream_max=10)
    fence = await a.claim(EAST)
    for i in range(30):
        await a.write([upserts(fence, **{f"t{i}": "x"})], i)
    assert (await b.write([], 5)).gap
    near = await b.write([], 25)
    assert not near.gap
    assert [e.key.name for e in near.missed] == [f"t{i}" for i in range(25, 30)]


async def test_raise_seq_goes_up_only_and_others_hear_of_it(connect: Connect) -> None:
    a, b = await connect("a"), await connect("b")
    assert await a.raise_seq(500) == 500
    assert await a.raise_seq(400) == 500
    async with asyncio.timeout(5), aclosing(b.tail(0)) as tail:
        assert await anext(tail) == 500
    result = await b.write([], 0)
    assert (result.seq, result.missed, result.gap) == (500, (), False)
    fence = await b.claim(EAST)
    assert (await b.write([upserts(fence, www="1")], 500)).seq == 501


@pytest.mark.spec("M-39")
async def test_an_emptied_redis_is_noticed_and_gets_a_higher_seq(connect: Connect) -> None:
    a = await connect("a")
    epoch = (await a.attach(0)).epoch
    fence = await a.claim(EAST)
    await a.write([upserts(fence, www="1")], 0)
    await a._client.run("FLUSHALL")
    with pytest.raises(StoreChanged):
        await a.write([upserts(fence, www="2")], 1)
    async with asyncio.timeout(5), aclosing(a.tail(1)) as tail:
        with pytest.raises(StoreChanged):
            await anext(tail)
    again = await a.attach(700)
    assert again.seq == 700
    assert again.epoch != epoch
    assert (await a.write([upserts(fence, www="2")], 700)).refused == {EAST}, "claims are forgotten with the rest"


async def test_a_redis_that_went_back_gets_a_new_epoch_so_that_every_replica_compares(connect: Connect) -> None:
    a, b = await connect("a"), await connect("b")
    first = await a.attach(0)
    second = await a.attach(20)  # it answers with 0 though 20 had been seen
    assert second.epoch != first.epoch
    assert second.seq == 20
    with pytest.raises(StoreChanged):
        await b.write([], 0)


async def test_a_redis_that_went_back_within_its_epoch_is_noticed_at_the_next_write(connect: Connect) -> None:
    """A backup, or a replica that was promoted before it had all: it knows our epoch and an older sequence."""
    a = await connect("a")
    fence = await a.claim(EAST)
    await a.write([upserts(fence, www="1")], 0)
    backup = {name: await a._client.run("DUMP", name) for name in await a._client.run("KEYS", "*")}
    await a.write([upserts(fence, www="2")], 1)
    await a._client.run("FLUSHALL")
    for name, value in backup.items():
        await a._client.run("RESTORE", name, 0, value)
    with pytest.raises(StoreChanged):
        await a.write([], 2)


async def test_restore_fills_gaps_but_neither_overwrites_nor_touches_a_claimed_source(connect: Connect) -> None:
    a, b = await connect("a"), await connect("b")
    fence = await a.claim(EAST)
    await a.write([upserts(fence, www="current")], 0)
    held = Group(EAST, None, (Write(key("gone"), stored("x")),), restore=True)
    west = agent_source("west")
    free = Group(west, None, (Write(key("cart", "west"), stored("old")),), restore=True)
    twice = Group(west, None, (Write(key("cart", "west"), stored("other")),), restore=True)
    result = await b.write([held, free, twice], 1)
    assert result.refused == {EAST}
    assert (await a.load()).inputs == {key("www"): stored("current"), key("cart", "west"): stored("old")}
    assert result.seq == 2


async def test_purge_removes_the_source_and_its_claim(connect: Connect) -> None:
    a, b = await connect("a"), await connect("b")
    fence = await a.claim(EAST)
    server = await b.claim(agent_source("west"))
    await a.write([upserts(fence, www="1", api="1")], 0)
    await b.write([Group(server.source, server, (Write(key("cart", "west"), stored("c")),))], 2)
    leader = await b.claim(SERVER)
    await b.write([Group(EAST, leader, purge=True)], 3)
    assert (await b.load()).inputs == {key("cart", "west"): stored("c")}
    result = await a.write([upserts(fence, www="late")], 2)
    assert result.refused == {EAST}
    assert result.missed[0].drops_set
    assert result.missed[0].key == ObjectKey(TABLE, "east", "", "")


@pytest.mark.spec("M-63")
async def test_who_reads_the_management_cluster_no_longer_may_not_purge(connect: Connect) -> None:
    frozen, leader = await connect("a"), await connect("b")
    fence = await leader.claim(EAST)
    await leader.write([upserts(fence, www="1")], 0)
    old = await frozen.claim(SERVER)
    await leader.claim(SERVER)
    result = await frozen.write([Group(EAST, old, purge=True)], 1)
    assert result.refused == {EAST}
    assert (await leader.load()).inputs == {key("www"): stored("1")}
    assert not (await leader.write([upserts(fence, www="2")], 1)).refused


async def test_a_drop_comes_before_what_was_written_after_it(connect: Connect) -> None:
    a, b = await connect("a"), await connect("b")
    fence = await a.claim(EAST)
    await a.write([upserts(fence, www="1", api="1")], 0)
    await a.write([Group(EAST, await a.claim(SERVER), purge=True)], 2)
    fence = await a.claim(EAST)
    await a.write([upserts(fence, www="2")], 3)
    missed = (await b.write([], 0)).missed
    assert missed[0].drops_set
    assert set(missed[1:]) == {Entry(key("www"), stored("2")), Entry(key("api"), None)}


async def test_a_lease_of_a_predecessor_of_the_same_name_need_not_run_out(connect: Connect) -> None:
    dead, other, again = await connect("a/1"), await connect("b/1"), await connect("a/2")
    fence = await dead.lease(EAST, 30)
    assert fence is not None
    await other.succeed(EAST)
    assert await other.lease(EAST, 30) is None
    await again.succeed(EAST)
    assert await again.lease(EAST, 30) is not None
    assert (await dead.write([upserts(fence, www="1")], 0)).refused == {EAST}


async def test_a_lease_is_held_by_one_and_goes_over_when_released(connect: Connect) -> None:
    a, b = await connect("a"), await connect("b")
    first = await a.lease(EAST, 30)
    assert first is not None
    assert await a.lease(EAST, 30) == first, "renewing keeps the fence"
    assert await b.lease(EAST, 30) is None
    await b.release(EAST)  # not b's to release
    assert await b.lease(EAST, 30) is None
    await a.release(EAST)
    second = await b.lease(EAST, 30)
    assert second is not None
    assert (await a.write([upserts(first, www="1")], 0)).refused == {EAST}
    assert (await b.write([upserts(second, www="1")], 0)).seq == 1


async def test_who_stands_in_gives_way_to_who_can_read_and_never_the_other_way(connect: Connect) -> None:
    a, b, reader = await connect("a"), await connect("b"), await connect("reader")
    a.stands_in = b.stands_in = True
    first = await a.lease(EAST, 30)
    assert await a.lease(EAST, 30) == first, "renewing keeps the fence"
    assert await b.lease(EAST, 30) is None
    second = await reader.lease(EAST, 30)
    assert second is not None
    assert await a.lease(EAST, 30) is None
    assert await reader.lease(EAST, 30) == second
    assert (await a.write([upserts(first, www="1")], 0)).refused == {EAST}
    await reader.release(EAST)
    assert await a.lease(EAST, 30) is not None


async def test_a_lease_that_is_not_renewed_ends(connect: Connect) -> None:
    a, b = await connect("a"), await connect("b")
    assert await a.lease(EAST, 0.02)
    async with asyncio.timeout(5):
        while await b.lease(EAST, 30) is None:
            await b.status()


async def test_damaged_bytes_are_left_out_and_named(connect: Connect) -> None:
    a = await connect("a")
    fence = await a.claim(EAST)
    await a.write([upserts(fence, www="1", api="1")], 0)
    await a._client.run("HSET", f"fp:1:{{fp}}:in:east\0{TABLE}", "shop/www", b"x" * 40)
    loaded = await a.load()
    assert loaded.inputs == {key("api"): stored("1")}
    assert loaded.corrupt == (key("www"),)
    assert await a.fetch([key("www"), key("api"), key("none")]) == {
        key("www"): None,
        key("api"): stored("1"),
        key("none"): None,
    }


@pytest.mark.spec("M-44")
async def test_an_evicting_redis_says_so(connect: Connect) -> None:
    a = await connect("a")
    assert await a.status() == StoreStatus(eviction_policy="noeviction", append_only=True)
    await a._client.run("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert (await a.status()).eviction_policy == "allkeys-lru"


@pytest.mark.spec("M-42")
async def test_a_wrong_password_is_reported_by_the_name_of_its_place(connect: Connect, redis: EmbeddedRedis) -> None:
    a = await connect("a")
    await a._client.run("CONFIG", "SET", "requirepass", "the-right-one")
    url = f"unix://user:canary-7f3a@{redis.socket}"
    for settings in (
        StoreSettings(url=redis.url, password="canary-7f3a", secret_name="Secret redis-auth-secrets"),
        StoreSettings(url=url, secret_name="Secret redis-auth-secrets"),
        StoreSettings(url=redis.url, secret_name="Secret redis-auth-secrets"),
    ):
        store = RedisStore(settings, "b")
        with pytest.raises(StoreMisconfigured) as caught:
            await store.attach(0)
        await store.close()
        assert "Secret redis-auth-secrets" in str(caught.value)
        assert "canary" not in str(caught.value)
    good = await connect("c", password="the-right-one")
    await good.beat(1)


async def test_a_replica_that_takes_no_writes_is_named_and_taken_when_it_is_promoted(
    connect: Connect, redis: EmbeddedRedis
) -> None:
    a = await connect("a")
    fence = await a.claim(EAST)
    await a._client.run("REPLICAOF", "127.0.0.1", "1")
    write = Group(EAST, fence, (Write(key("www"), stored("1")),))
    with pytest.raises(StoreUnavailable, match="is a read-only replica; promote it, or name its primary in redis_url"):
        await a.write([write], 0)
    await a._client.run("REPLICAOF", "NO", "ONE")
    assert (await a.write([write], 0)).seq == 1


def test_a_redis_that_is_too_old_is_known_by_its_version() -> None:
    assert [v for v in ("2.8.19", "5.0.7", "6.0.16", "6.2.0", "7.4.1", "255.255.255", "") if is_too_old(v)] == [
        "2.8.19",
        "5.0.7",
        "6.0.16",
    ]


async def test_the_version_of_a_redis_is_asked_for(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """No old Redis is to be had here, so this one is too old for once."""
    monkeypatch.setattr("mgmt.store.redis_store.OLDEST", (99, 0))
    with pytest.raises(StoreMisconfigured, match=r"is of version [67]\.\d+\.\d+, 99\.0 or newer is needed; upgrade it"):
        await connect("a")
    monkeypatch.undo()
    a = await connect("a")
    await a._client.run("ACL", "SETUSER", "mute", "on", ">secret", "~fp:*", "+@all", "-info")
    await (await connect("b", username="mute", password="secret")).beat(1)


@pytest.mark.spec("M-42")
async def test_an_acl_user_works(connect: Connect) -> None:
    a = await connect("a")
    await a._client.run("ACL", "SETUSER", "fingerpost", "on", ">secret", "~fp:*", "+@all")
    store = await connect("b", username="fingerpost", password="secret")
    fence = await store.claim(EAST)
    assert (await store.write([upserts(fence, www="1")], 0)).seq == 1


async def test_a_newer_layout_is_left_alone(connect: Connect) -> None:
    a = await connect("a")
    await a._client.run("SET", "fp:{fp}:schema", "2")
    b = await connect("b", attach=False)
    with pytest.raises(StoreMisconfigured, match="the layout is 2, this version knows 1"):
        await b.attach(0)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://example:6379", 'scheme is "http"'),
        ("redis://:canary@host:port/0", "port is not a number"),
        ("redis://:canary@host:6379/zero", 'database is "zero"'),
        ("redis:///0", "host is missing"),
        ("unix://", "path of the socket is missing"),
    ],
)
def test_a_wrong_url_names_its_part_and_the_remedy(url: str, part: str) -> None:
    with pytest.raises(StoreMisconfigured, match=part) as caught:
        RedisStore(StoreSettings(url=url), "a")
    assert "redis://host:6379/0" in str(caught.value)
    assert "canary" not in str(caught.value)


async def test_nobody_listening_is_unavailable(connect: Connect) -> None:
    store = RedisStore(StoreSettings(url="unix:///nonexistent/redis.sock"), "a")
    with pytest.raises(StoreUnavailable, match=r"/nonexistent/redis\.sock does not answer"):
        await store.attach(0)
    await store.close()
