"""Snapshots on a real Redis: what each of them holds, what is dropped, and what nobody had noted."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest
from history_support import SECOND, Recording, body, table
from redis.asyncio import Redis

from fingerpost.objects import ObjectKey
from mgmt.history.recorder import HistorySettings, Recorder
from mgmt.pins.rollback import Order, Reach, Scope
from mgmt.store.embedded import EmbeddedRedis
from mgmt.store.errors import StoreError
from mgmt.store.history import HistoryStore
from mgmt.store.settings import StoreSettings

pytestmark = pytest.mark.redis


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_there_at_each_number_is_found_again(recording: Recording, seed: int) -> None:
    random = Random(seed)
    recording.edit({table("first"): body("1")})
    await recording.recorder.flush()
    states: dict[int, dict[str, str]] = {}
    for _ in range(40):
        names = random.sample(("a", "b", "c", "d", "e"), random.randint(1, 3))
        changes = {table(n): random.choice((None, body(str(random.randint(1, 4))))) for n in names}
        number = recording.edit(changes)
        states[number] = {k.name: json.loads(s.body)["spec"] for k, s in recording.inputs.items()}
        if random.random() < 0.3:
            await recording.recorder.flush()
    kept = await recording.numbers()
    assert set(kept) - {3} <= states.keys()
    assert len(kept) > 30
    for number, expected in states.items():  # also those of turns that changed nothing
        assert await recording.state(number) == expected, number


async def test_a_snapshot_says_what_it_changed(recording: Recording) -> None:
    recording.edit({table("first"): body("1")})
    await recording.recorder.flush()
    second = recording.edit({table("first"): body("2"), table("new"): body("1")})
    third = recording.edit({table("new"): None, ObjectKey("core/Service", "mgmt", "shop", "cart"): body("1")})
    assert (await recording.numbers())[1:] == [second, third]
    assert await recording.told(second) == [("first", "changed"), ("new", "added")]
    assert await recording.told(third) == [("new", "removed")]
    assert (await recording.store.logs([second]))[second]["gateways"] == ["east/gw/ingress"]


@pytest.mark.parametrize("least", [{"snapshots": 4}, {"bytes": 900}, {"keep": 3.5}], ids=lambda d: next(iter(d)))
async def test_the_oldest_go_beyond_any_of_the_three_limits(redis: EmbeddedRedis, least: dict[str, Any]) -> None:
    recording = await Recording.on(redis.url, HistorySettings(**least))
    made = []
    for number in range(10):
        recording.now += SECOND
        made.append(recording.edit({table("a"): body(str(number) * 40)}))
        await recording.recorder.flush()
    kept = await recording.numbers()
    assert 1 < len(kept) < 6
    assert kept == made[-len(kept) :]
    floor = (await recording.store.range()).floor
    assert floor == made[-len(kept) - 1]
    assert await recording.state(floor) == {"a": str(9 - len(kept)) * 40}, "what the last one dropped left is known"
    client: Any = Redis.from_url(redis.url)
    undo = [key async for key in client.scan_iter("fp:1:{fp}:hist:undo:*")]
    assert len(undo) == len(kept), "what is dropped takes no room"
    await client.aclose()
    await recording.close()


async def test_what_nobody_noted_becomes_one_snapshot(recording: Recording, redis: EmbeddedRedis) -> None:
    recording.edit({table("a"): body("1"), table("b"): body("1")})
    await recording.recorder.flush()
    successor = await Recording.on(redis.url)  # the former one ended before it had recorded these
    successor.seq = recording.seq
    successor.put({table("a"): body("2")})
    successor.put({table("c"): body("1")})
    later = successor.edit({table("d"): body("1")})
    assert (await successor.numbers())[1:] == [later]
    assert await successor.told(later) == [("a", "changed"), ("b", "removed"), ("c", "added"), ("d", "added")]
    assert await successor.state(3) == {"a": "1", "b": "1"}
    await successor.close()


async def test_of_two_writers_one_sees_that_the_other_was_faster(recording: Recording, redis: EmbeddedRedis) -> None:
    recording.edit({table("a"): body("1")})
    await recording.recorder.flush()
    other = await Recording.on(redis.url)
    for one in (recording, other):
        one.seq = 10
    other.put({table("a"): body("1")})
    other.edit({table("a"): body("2")})
    await other.recorder.flush()
    recording.seq = 20
    recording.edit({table("a"): body("3")})
    numbers = await recording.numbers()
    assert [await recording.state(n) for n in numbers] == [{"a": "1"}, {"a": "2"}, {"a": "3"}]
    await other.close()


async def test_who_does_not_lead_writes_nothing_and_catches_up_when_it_does(recording: Recording) -> None:
    recording.leads = False
    recording.edit({table("a"): body("1")})
    assert await recording.numbers() == []
    recording.leads = True
    recording.edit({table("b"): body("1")})
    (only,) = await recording.numbers()
    assert await recording.state(only) == {"a": "1", "b": "1"}


async def test_of_a_cluster_that_was_never_listed_nobody_knows_what_was_there(recording: Recording) -> None:
    first = recording.edit({table("a"): body("1")})
    await recording.recorder.flush()
    second = recording.edit({table("far", "east"): body("1")})
    recording.recorder.listed = frozenset({"mgmt", "east"})
    recording.edit({table("farther", "east"): body("1")})  # the turn in which the listing ends
    added = recording.edit({table("own", "east"): body("1")})
    await recording.recorder.flush()
    assert await recording.told(second) == [("far", "found")]
    assert await recording.told(added) == [("own", "added")]
    then = await recording.store.at(first)
    assert {k.name for k in then.unknown} == {"far", "farther"}
    assert {k.name for k in then.objects} == {"a"}


async def test_a_redis_that_forgot_begins_a_new_history(recording: Recording, redis: EmbeddedRedis) -> None:
    recording.edit({table("a"): body("1")})
    await recording.recorder.flush()
    client: Any = Redis.from_url(redis.url)
    await client.flushall()
    await client.aclose()
    again = await Recording.on(redis.url)
    await again.close()
    recording.edit({table("a"): body("2")})
    (only,) = await recording.numbers()
    assert await recording.state(only) == {"a": "2"}
    assert await recording.told(only) == [("a", "found")]


async def test_orders_of_rollbacks_wait_for_redis_and_the_old_are_forgotten(redis: EmbeddedRedis) -> None:
    """Each is there once, newest first, also when it was not this replica that led meanwhile."""
    recording = await Recording.on(redis.url, HistorySettings(keep=60))
    first, second, third = (
        Order(at=recording.now + at * SECOND, rollback=f"r{at}", scope=Scope(Reach.CLUSTER, "west"), snapshot=4)
        for at in (1, 30, 70)
    )
    away = Recorder(HistoryStore(StoreSettings(url="redis://127.0.0.1:1")), recording, HistorySettings(), lambda: 0)
    away.order(first)
    with pytest.raises(StoreError):
        await away.flush()
    away._store = recording.store  # it is back
    recording.leads = False
    await away.flush()
    recording.recorder.order(first)
    recording.recorder.order(second)
    await recording.recorder.flush()
    assert [msgspec.convert(told, Order) for told in await recording.store.orders()] == [second, first]
    recording.recorder.order(third)
    await recording.recorder.flush()
    assert [msgspec.convert(told, Order) for told in await recording.store.orders()] == [third, second]
    await recording.close()
