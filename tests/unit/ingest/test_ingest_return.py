"""A replica that was cut off from Redis comes back to what others have written meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from ingest_support import Agent, Replica, until

from fingerpost.objects import ObjectKey
from mgmt.store import layout

pytestmark = pytest.mark.redis


async def _pair(start: Any, **objects: int) -> tuple[Replica, Replica, Agent]:
    """East is connected to the second one."""
    a, b = await start("a/1"), await start("b/1")
    east = (await Agent("east").connect(b)).warm()
    await east.push_stored(objects)
    await until(lambda: a.objects() == b.objects() and len(a.objects()) == len(objects))
    return a, b, east


@pytest.mark.spec("M-43")
async def test_what_comes_back_while_it_compares_is_not_gone(start: Any) -> None:
    a, b = await start("a/1"), await start("b/1")
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 1})
    await until(lambda: b.objects() == {"east/shop/www": "1"})
    heal = b.cut()
    await east.push_stored({"www": None})
    hashes, once = b.store.hashes, list[int]()

    async def then_it_is_back(cluster: str | None = None) -> dict[ObjectKey, bytes]:
        found = await hashes(cluster)
        if not once:
            once.append(1)
            await east.push_stored({"www": 2})
        return found

    b.store.hashes = then_it_is_back  # type: ignore[method-assign]
    heal()
    await until(lambda: b.ingest.synced and once)
    await b.ingest.settled()
    assert b.objects() == a.objects() == {"east/shop/www": "2"}


@pytest.mark.spec("M-40")
async def test_of_a_cluster_whose_agent_has_left_it_knows_nothing(start: Any) -> None:
    a, b, east = await _pair(start, www=1)
    heal = b.cut()
    await east.leave()
    await (await Agent("east").connect(a)).warm().push_stored({"new": 1})
    await b.ingest.settled()
    assert not b.ingest.states.clusters["east"].ready
    heal()
    await until(lambda: b.ingest.synced and b.objects() == a.objects())


@pytest.mark.spec("M-40")
async def test_who_is_alone_knows_all_there_is(start: Any) -> None:
    """An agent that is away holds nothing up while Redis is."""
    a = await start("a/1")
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 1})
    await east.leave()
    await until(lambda: a.state("east") == "Cached")
    a.cut()
    a.ingest._touch()
    await a.ingest.settled()
    assert {name: state.ready for name, state in a.ingest.states.clusters.items()} == {"east": True, "west": True}


@pytest.mark.spec("M-40")
async def test_that_nothing_may_be_concluded_is_translated_though_nothing_changed(start: Any) -> None:
    a, b = await start("a/1"), await start("b/1")
    lead, other = (a, b) if a.ingest.owns_management else (b, a)  # who reads the folder writes nothing when Redis goes
    await (await Agent("east").connect(other)).warm().push_stored({"www": 1})
    await until(lambda: lead.objects() == {"east/shop/www": "1"} and lead.ingest.states.clusters["east"].ready)
    told: list[bool] = []
    lead.recorder.on_translate = lambda: told.append(lead.ingest.states.clusters["east"].ready)
    heal = lead.cut()
    await until(lambda: told[-1:] == [False])
    heal()
    await until(lambda: told[-1:] == [True])


@pytest.mark.spec("M-40")
async def test_what_was_stored_for_a_source_that_is_still_listing_stays(start: Any) -> None:
    """What a replica remembers of the source's last owner is no word of the agent."""
    a, b = await start("a/1"), await start("b/1")
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 1})
    await until(lambda: b.objects() == {"east/shop/www": "1"})
    heal = b.cut()
    await east.push_stored({"new": 1, "www": 2})
    await east.leave()
    await a.ingest.settled()
    again = await Agent("east").connect(b)  # begins to list
    heal()
    await until(lambda: b.ingest.synced)
    await b.ingest.settled()
    assert await b.tables() == {"www": "2", "new": "1"}
    await again.leave()  # and is cut off
    await until(lambda: b.objects() == a.objects() == {"east/shop/www": "2", "east/shop/new": "1"})


@pytest.mark.spec("M-40")
async def test_what_was_deleted_while_redis_was_away_is_deleted_though_the_agent_has_left(start: Any) -> None:
    a, b, east = await _pair(start, www=1, old=1)
    heals = a.cut(), b.cut()
    east.push({"old": None})
    await east.leave()
    await b.ingest.settled()
    for heal in heals:
        heal()
    await until(lambda: a.ingest.synced and b.ingest.synced)
    await until(lambda: a.objects() == b.objects() == {"east/shop/www": "1"})
    assert await a.tables() == {"www": "1"}


@pytest.mark.spec("M-40")
async def test_an_outage_is_no_loss_of_memory_and_claims_keep_their_order(start: Any) -> None:
    """The number that a replica has counted to by itself says nothing about Redis."""
    a, b, east = await _pair(start, www=1)
    west = (await Agent("west").connect(b)).warm()
    await until(lambda: b.state("west") == "Warm")
    await b.ingest.settled()
    epoch, heals = a.ingest.epoch, (a.cut(), b.cut())
    for number in range(20):
        west.push({"w": number})
        await b.ingest.settled()
    await east.leave()
    again = (await Agent("east").connect(a)).warm()
    count = again.push({"www": 2, "new": 1})
    heals[0]()
    await until(lambda: len(again.stored) >= count)
    await again.leave()
    await a.ingest.settled()
    reached = b.ingest.seq
    heals[1]()
    await until(lambda: b.ingest.synced)
    await until(lambda: a.objects() == b.objects())
    assert await a.tables() == {"www": "2", "new": "1", "w": "19"}
    assert a.ingest.epoch == b.ingest.epoch == epoch
    assert b.ingest.seq > reached, "what it has told its agents has a lower number"


@pytest.mark.spec("M-39")
@pytest.mark.parametrize("first", [0, 1])
async def test_claims_keep_their_order_when_redis_forgets_them(start: Any, first: int) -> None:
    a, b, old = await _pair(start, www=1)
    heal = b.cut()
    again = (await Agent("east").connect(a)).warm()  # the old agent was killed, and b has not noticed yet
    await again.push_stored({"www": 2, "new": 1})
    heals = (a.cut(), heal)
    await a.store._client.run("FLUSHALL")
    heals[first]()
    await until(lambda: (a, b)[first].ingest.synced)
    heals[1 - first]()
    await until(lambda: a.ingest.synced and b.ingest.synced)
    await until(lambda: a.objects() == b.objects() == {"east/shop/www": "2", "east/shop/new": "1"})
    assert again.goodbye == []
    assert a.recorder.removals == []
    old.push({"www": 0})
    await until(lambda: old.goodbye)
    assert await a.tables() == {"www": "2", "new": "1"}


@pytest.mark.spec("M-40")
@pytest.mark.parametrize("before", [0, 1])
async def test_what_an_agent_told_without_redis_stays_though_it_has_left_and_the_source_was_claimed_before(
    start: Any, before: int
) -> None:
    """Whoever had it: that claim is older than the outage."""
    both = a, b = await start("a/1"), await start("b/1")
    east = (await Agent("east").connect(both[before])).warm()
    await east.push_stored({"www": 1})
    await until(lambda: a.objects() == b.objects() == {"east/shop/www": "1"})
    await east.leave()
    heal = a.cut()
    again = (await Agent("east").connect(a)).warm()
    again.push({"www": 2})
    await a.ingest.settled()
    await again.leave()
    heal()
    await until(lambda: a.ingest.synced and a.objects() == b.objects() == {"east/shop/www": "2"})


@pytest.mark.spec("M-40")
async def test_what_an_agent_told_another_replica_later_stays(start: Any) -> None:
    a, b, east = await _pair(start, www=1)
    await east.leave()
    heal = a.cut()
    again = (await Agent("east").connect(a)).warm()
    again.push({"www": 2})
    await a.ingest.settled()
    await again.leave()
    await (await Agent("east").connect(b)).warm().push_stored({"www": 3})
    heal()
    await until(lambda: a.ingest.synced and a.objects() == b.objects() == {"east/shop/www": "3"})


@pytest.mark.spec("M-39")
@pytest.mark.parametrize("first", ["who knows less", "who knows more"])
async def test_of_two_that_fill_redis_again_the_later_state_counts(start: Any, first: str) -> None:
    """The agent is away, so neither has the source."""
    a, b, east = await _pair(start, www=1, old=1)
    heal = a.cut()
    await east.push_stored({"www": 2, "new": 1, "old": None})
    await east.leave()
    await until(lambda: b.state("east") == "Cached")
    await b.ingest.settled()
    heals = [(a, heal), (b, b.cut())]
    await b.store._client.run("FLUSHALL")
    for replica, now in heals if first == "who knows less" else heals[::-1]:
        now()
        await until(lambda replica=replica: replica.ingest.synced)
    await until(lambda: a.objects() == b.objects() == {"east/shop/www": "2", "east/shop/new": "1"})
    assert await a.tables() == {"www": "2", "new": "1"}


@pytest.mark.spec("M-40")
async def test_a_claim_from_before_redis_went_back_is_no_later_one(start: Any) -> None:
    """Redis comes back with a former state, fences and all. What the agent has told since is not given up for it."""
    a, b, east = await _pair(start, www=1)
    await east.leave()
    heals = a.cut(), b.cut()
    again = (await Agent("east").connect(b)).warm()
    again.push({"www": 2, "new": 1})
    await b.ingest.settled()
    await again.leave()
    await b.ingest.settled()
    await b.store._client.run("SET", layout.SEQ, 1)
    heals[0]()
    await until(lambda: a.ingest.synced)
    assert a.ingest.epoch != b.ingest.epoch, "it is another Redis now"
    heals[1]()
    await until(lambda: b.ingest.synced and a.objects() == b.objects())
    assert b.objects() == {"east/shop/www": "2", "east/shop/new": "1"}


@pytest.mark.spec("M-40")
async def test_a_claim_since_redis_went_back_is_a_later_one(start: Any) -> None:
    a, b, east = await _pair(start, www=1)
    await east.leave()
    heals = a.cut(), b.cut()
    again = (await Agent("east").connect(b)).warm()
    again.push({"www": 2})
    await b.ingest.settled()
    await again.leave()
    await b.store._client.run("SET", layout.SEQ, 1)
    heals[0]()
    await until(lambda: a.ingest.synced)
    await (await Agent("east").connect(a)).warm().push_stored({"www": 3})
    heals[1]()
    await until(lambda: b.ingest.synced and a.objects() == b.objects() == {"east/shop/www": "3"})


@pytest.mark.spec("M-39")
async def test_what_redis_had_before_it_went_back_counts_for_an_agent_that_is_away(start: Any) -> None:
    """With the former state comes the former claim."""
    a, b, east = await _pair(start, www=1, old=1)
    redis = b.store._client
    kept = {key: await redis.run("DUMP", key) for key in await redis.run("KEYS", layout.PREFIX + "*")}
    await east.push_stored({"www": 2, "new": 1, "old": None})
    await east.leave()
    await until(lambda: a.state("east") == "Cached" and a.objects() == b.objects())
    heals = a.cut(), b.cut()
    await redis.run("FLUSHALL")
    for key, value in kept.items():
        await redis.run("RESTORE", key, 0, value)
    for heal in heals:
        heal()
    await until(lambda: a.ingest.synced and b.ingest.synced)
    await until(lambda: a.objects() == b.objects() == {"east/shop/www": "2", "east/shop/new": "1"})
    assert await a.tables() == {"www": "2", "new": "1"}
