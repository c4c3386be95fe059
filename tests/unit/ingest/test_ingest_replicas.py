"""Two replicas on one Redis: equal inputs at equal seq, one owner per cluster, and a folder that one of them writes."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from ingest_support import TABLE, Agent, Folder, Replica, until

from fingerpost.relay.reasons import Reason
from mgmt.store.embedded import EmbeddedRedis, embedded_redis

pytestmark = pytest.mark.redis


async def agree(*replicas: Replica) -> dict[str, str]:
    """Wait until all say the same; memory, translator and Redis must then hold the same too, also once a Lease that
    one of them is just renewing is written.
    """
    first = replicas[0]
    await until(
        lambda: (
            all(r.ingest.synced and r.ingest.seq == first.ingest.seq for r in replicas)
            and all(r.objects() == r.recorder.objects() == first.objects() for r in replicas)
        )
    )
    end = asyncio.get_running_loop().time() + 15
    while True:
        loaded = await first.store.load()
        cold = {k: s.hash for k, s in loaded.inputs.items()}
        held = [{k: s.hash for k, s in replica.ingest.inputs.items()} for replica in replicas]
        if all(inputs == cold for inputs in held) or asyncio.get_running_loop().time() > end:
            break
    stored = {f"{k.cluster}/{k.namespace}/{k.name}": s.body.decode() for k, s in sorted(loaded.inputs.items())}
    expected = first.objects()
    assert {k: v for k, v in stored.items() if k in expected or "/shop/" in k} == expected
    for inputs in held:
        assert inputs == cold
    return expected


@pytest.mark.spec("W-55")
async def test_an_object_is_in_the_cluster_of_the_agent_that_brings_it_whatever_it_says(start: Any) -> None:
    """The protocol has no place for another cluster; whose agent it is says its certificate (M-33)."""
    a = await start("a/1")
    east, west = (await Agent("east").connect(a)).warm(), (await Agent("west").connect(a)).warm()
    await east.push_stored({"www": 1})
    claims = {
        "cluster": "east",
        "metadata": {
            "name": "www",
            "namespace": "shop",
            "clusterName": "east",
            "labels": {"relay.solo.io/cluster": "east"},
            "annotations": {"cluster.solo.io/cluster": "east"},
        },
    }
    await west.push_stored({"www": claims, "east/shop/www": claims})
    await west.push_stored({"gone": None}, namespace="east")
    found = await agree(a)
    assert found["east/shop/www"] == "1"
    assert set(found) == {"east/shop/www", "west/shop/www", "west/shop/east/shop/www"}
    await west.push_stored({"www": None})
    assert (await agree(a))["east/shop/www"] == "1"


async def test_edits_on_both_sides_reach_both(start: Any) -> None:
    a, b = await start("a/1"), await start("b/1")
    east, west = (await Agent("east").connect(a)).warm(), (await Agent("west").connect(b)).warm()
    for i in range(20):
        east.push({"www": i, f"e{i % 7}": i if i % 3 else None})
        west.push({"cart": i})
    await east.push_stored({"done": 1})
    await west.push_stored({"done": 1})
    objects = await agree(a, b)
    assert objects["east/shop/www"] == "19"
    assert a.state("west") == b.state("east") == "Warm"
    assert a.ingest.owns("east")
    assert not a.ingest.owns("west")


@pytest.mark.spec("M-61")
async def test_a_reader_is_admitted_once_the_first_session_has_opened_at_the_other_replica(start: Any) -> None:
    """As a standby agent, whose leader is connected elsewhere."""
    a, b = await start("a/1"), await start("b/1")
    admitted = asyncio.create_task(b.ingest.admit("east", "uid-east", "127.0.0.1:2", lambda _reason, _said: None))
    await b.ingest.settled()
    assert not admitted.done()
    (await Agent("east").connect(a)).warm()
    await until(admitted.done)
    admitted.result()()


async def test_a_late_replica_reads_what_is_there_before_it_publishes(start: Any) -> None:
    a = await start("a/1")
    east = (await Agent("east").connect(a)).warm()
    seq = await east.push_stored({f"t{i}": i for i in range(2500)})
    b = await start("b/1")
    await until(lambda: b.recorder.published)
    assert b.recorder.published[0] >= seq
    assert len(b.recorder.objects()) == 2500


async def test_the_agent_moves_and_its_former_replica_writes_no_more(start: Any) -> None:
    a, b = await start("a/1"), await start("b/1")
    old = (await Agent("east").connect(a)).warm()
    await old.push_stored({"www": 1, "api": 1})
    await until(b.objects)
    new = (await Agent("east").connect(b)).warm()
    assert b.ingest.keys("east", TABLE), "in step before the session begins"
    await new.push_stored({"www": 2})
    answers = len(old.stored)
    old.push({"www": "late", "ghost": "late"})
    await until(lambda: old.goodbye)
    assert old.goodbye[0][0] == Reason.DUPLICATE
    assert await agree(a, b) == {"east/shop/api": "1", "east/shop/www": "2"}
    assert len(old.stored) == answers, "what was refused is not called stored"


async def test_a_replica_beyond_the_trimmed_stream_compares_everything(
    start: Any, redis: EmbeddedRedis, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await start("a/1", stream_max=20)
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"gone": 1, "www": 1, "same": 1})
    b = Replica(redis.url, "b/1", folder, stream_max=20)
    await b.ingest.start()  # it has loaded, but does not follow yet
    monkeypatch.setattr(b.ingest, "start", AsyncMock())
    await east.push_stored({"gone": None, "www": 2})
    for i in range(60):
        await east.push_stored({"busy": i})
    await b.start()
    await agree(a, b)
    assert "east/shop/gone" not in b.objects()
    await b.stop()


async def test_one_replica_writes_the_folder_and_another_takes_over(start: Any, folder: Folder) -> None:
    a = await start("a/1")
    await until(lambda: a.ingest.owns_management)
    b = await start("b/1")
    folder.put("www", b"1")
    await until(lambda: b.objects() == {"mgmt/shop/www": "1"})
    assert not b.ingest.owns_management
    await a.stop()
    folder.put("www", b"2")
    folder.put("new", b"1")
    await until(lambda: b.ingest.owns_management)
    await until(lambda: b.recorder.objects() == {"mgmt/shop/www": "2", "mgmt/shop/new": "1"})


@pytest.mark.spec("M-63")
async def test_a_leader_that_could_not_renew_in_time_leads_no_longer(
    start: Any, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was stopped does when it wakes: before it has heard anything from Redis."""
    a = await start("a/1")
    await until(lambda: a.ingest.leads)
    b = await start("b/1")
    assert (a.began_to_lead, b.began_to_lead, b.ingest.leads) == (1, 0, False)
    awake = asyncio.Event()
    renew = a.store.lease

    async def late(*given: Any) -> Any:
        await awake.wait()
        return await renew(*given)

    monkeypatch.setattr(a.store, "lease", late)
    await until(lambda: b.ingest.leads)
    assert b.began_to_lead == 1, "it says again what the former leader may not have written"
    assert a.ingest.owns_management, "it does not know yet"
    assert not a.ingest.leads
    awake.set()
    await until(lambda: not a.ingest.owns_management)
    await until(lambda: b.ingest.leads)


async def test_what_a_complete_listing_lacks_is_deleted(start: Any, folder: Folder) -> None:
    a = await start("a/1")
    folder.put("www", b"1")
    folder.put("old", b"1")
    await until(lambda: len(a.objects()) == 2)
    await a.stop()
    del folder.objects[next(k for k in folder.objects if k.name == "old")]
    b = await start("b/1")
    await until(lambda: b.recorder.objects() == {"mgmt/shop/www": "1"})
    await agree(b)


@pytest.mark.spec("M-43")
async def test_after_sigkill_of_redis_and_restart_everything_is_cached_before_any_agent(tmp_path: Path) -> None:
    folder = Folder()
    folder.register("east")
    async with embedded_redis(tmp_path / "r") as redis:
        a = await Replica(redis.url, "a/1", folder).start()
        east = (await Agent("east").connect(a)).warm()
        await east.push_stored({f"t{i}": i for i in range(50)})
        os.kill(redis.pid, signal.SIGKILL)  # right after Stored; the replica says nothing more to anybody
        east.push({"unanswered": 1})
        await until(lambda: not a.ingest.synced)
        await a.stop()
        answered = len(east.stored)
    async with embedded_redis(tmp_path / "r") as redis:
        b = await Replica(redis.url, "a/2", None).start()
        await until(lambda: b.recorder.published)
        assert answered == 1
        assert len(b.recorder.objects()) == 50
        assert b.state("east") == "Cached"
        assert b.ingest.digests("east").keys() == {TABLE}
        await b.stop()


class Relayed:
    """What an agent and its relay do together: reconnect, compare digests, send the difference."""

    def __init__(self, name: str, replicas: list[Replica], dice: random.Random) -> None:
        self.name, self.held = name, dict[str, int]()
        self._replicas, self._dice = replicas, dice
        self.agent = Agent(name)

    async def reconnect(self) -> None:
        if self.agent.replica is not None and self._dice.random() < 0.7:  # else its old replica never hears of it
            await self.agent.leave()
        self.agent = agent = await Agent(self.name).connect(self._dice.choice(self._replicas))
        assert agent.replica is not None
        there = agent.replica.ingest.keys(self.name, TABLE)
        agent.push({**{n: None for _, n in there if n not in self.held}, **self.held})
        agent.warm()

    async def edit(self, key: str, value: int | None) -> None:
        self.held.pop(key, None)
        if value is not None:
            self.held[key] = value
        if self.agent.goodbye:
            await self.reconnect()
        self.agent.push({key: value})

    async def settled(self) -> None:
        while True:
            count = self.agent.push({"last": 1})
            self.held["last"] = 1
            await until(partial(self._answered, count))
            if not self.agent.goodbye:
                return
            await self.reconnect()

    def _answered(self, count: int) -> bool:
        return len(self.agent.stored) >= count or bool(self.agent.goodbye)


@pytest.mark.parametrize("seed", range(6))
async def test_any_mix_of_edits_moves_and_losses_of_redis_ends_equal(start: Any, seed: int) -> None:
    dice = random.Random(seed)
    replicas = [await start("a/1"), await start("b/1")]
    clusters = [Relayed(name, replicas, dice) for name in ("east", "west")]
    for cluster in clusters:
        await cluster.reconnect()
    for i in range(120):
        cluster = dice.choice(clusters)
        action = dice.random()
        if action < 0.08:
            await cluster.reconnect()
        elif action < 0.12:
            await replicas[0].store._client.run("FLUSHALL")
        else:
            await cluster.edit(f"t{dice.randrange(12)}", i if dice.random() < 0.7 else None)
    await until(lambda: all(r.ingest.synced for r in replicas))
    for _ in range(2):  # a replica that learns late that it lost may still fence the other one out once
        for cluster in clusters:
            await cluster.settled()
    expected = {f"{c.name}/shop/{k}": str(v) for c in clusters for k, v in sorted(c.held.items())}
    assert await agree(*replicas) == expected
