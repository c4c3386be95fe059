"""A cluster is warm when it has answered what its listing made the server ask, and when the others have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ingest_support import TABLE, Agent, Folder, Replica, until

from fingerpost.objects import ObjectKey
from fingerpost.relay.features import ANSWERS

pytestmark = [pytest.mark.redis, pytest.mark.spec("M-50")]
_FEATURES = frozenset({ANSWERS})


async def _listed(replica: Replica, cluster: str) -> Agent:
    """Its listing is translated."""
    agent = await Agent(cluster, features=_FEATURES).connect(replica)
    agent.push({f"of-{cluster}": 1})
    agent.warm()
    await replica.ingest.settled()
    return agent


async def _warm(replica: Replica, cluster: str) -> Agent:
    agent = await _listed(replica, cluster)
    await until(lambda: replica.state(cluster) == "Warm")
    return agent


async def test_a_cluster_is_warm_with_its_answer(start: Any) -> None:
    a = await start("a/1")
    a.asked["east"] = b"endpoints"
    east = await _listed(a, "east")
    assert a.state("east") == "Syncing"
    east.answer(b"something of before")
    await a.ingest.settled()
    assert a.state("east") == "Syncing"
    east.answer(b"endpoints")
    await until(lambda: a.state("east") == "Warm")


async def test_who_has_answered_already_or_is_asked_nothing_is_warm_at_once(start: Any) -> None:
    a = await start("a/1")
    await _warm(a, "east")
    a.asked["west"] = b"endpoints"
    west = await Agent("west", features=_FEATURES).connect(a)
    west.answer(b"endpoints")
    assert a.state("west") != "Warm"
    west.warm()
    await until(lambda: a.state("west") == "Warm")


async def test_an_agent_that_does_not_say_so_is_warm_when_it_has_listed(start: Any) -> None:
    a = await start("a/1")
    a.asked["east"] = b"endpoints"
    (await Agent("east").connect(a)).warm()
    await until(lambda: a.state("east") == "Warm")


async def test_what_one_lists_may_be_a_question_to_another(start: Any) -> None:
    """A table in west that routes to a Service in east: without east's answer the table would lead nowhere."""
    a = await start("a/1")
    east = await _warm(a, "east")
    a.recorder.on_translate = lambda: a.asked.update(east=b"for west") if a.objects().get("west/shop/of-west") else None
    await _listed(a, "west")
    assert (a.state("east"), a.state("west")) == ("Warm", "Syncing")
    east.answer(b"for west")
    await until(lambda: a.state("west") == "Warm")


async def test_nobody_waits_for_an_agent_that_has_gone(start: Any) -> None:
    a = await start("a/1")
    east = await _warm(a, "east")
    a.asked["east"] = b"never answered"
    await _listed(a, "west")
    assert a.state("west") == "Syncing"
    await east.leave()
    await until(lambda: a.state("west") == "Warm")


async def test_nobody_waits_for_what_is_asked_no_longer(start: Any) -> None:
    a = await start("a/1")
    await _warm(a, "east")
    a.asked["east"] = b"for a moment"
    west = await _listed(a, "west")
    assert a.state("west") == "Syncing"
    del a.asked["east"]
    await west.push_stored({"more": 1})
    await until(lambda: a.state("west") == "Warm")


async def test_what_is_listed_during_a_turn_is_judged_after_the_next_one(
    start: Any, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when that turn brings something of another replica, and so translates twice."""
    folder.register("north")
    a, b = await start("a/1"), await start("b/1")
    west, north = await _warm(a, "west"), await Agent("north").connect(b)
    east = await Agent("east", features=_FEATURES).connect(a)
    await until(lambda: a.state("north") and a.state("east") == "Syncing")
    table = ObjectKey(TABLE, "east", "shop", "of-east")

    def asked(cluster: str) -> bytes:
        return b"endpoints" if cluster == "east" and table in a.recorder.world else b""

    monkeypatch.setattr(a.ingest.sessions, "_asked", asked)
    gate, entered, write = asyncio.Event(), asyncio.Event(), a.store.write

    async def slow(*args: Any) -> Any:
        entered.set()
        await gate.wait()
        return await write(*args)

    monkeypatch.setattr(a.store, "write", slow)
    west.push({"begins": 1})
    await entered.wait()
    await north.push_stored({"elsewhere": 1})
    east.push({"of-east": 1})
    east.warm()
    gate.set()
    await until(lambda: table in a.recorder.world)
    await a.ingest.settled()
    assert "north/shop/elsewhere" in a.objects()
    assert a.state("east") == "Syncing"
    east.answer(b"endpoints")
    await until(lambda: a.state("east") == "Warm")
