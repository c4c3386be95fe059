"""Who takes a source over knows less than its former owner: nothing goes before a listing that began after that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from ingest_support import TABLE, Agent, Folder, Replica, until

from fingerpost.objects import ObjectKey
from mgmt.store.embedded import EmbeddedRedis
from tests.unit.ingest.test_ingest_outages import stopped

pytestmark = pytest.mark.redis
_GATEWAY = "networking.gloo.solo.io/VirtualGateway"


class Still(Folder):
    """Its watch stands still: what happened since the first listing is brought by a new one alone, once that gets
    through.
    """

    def __init__(self, truth: Mapping[ObjectKey, bytes]) -> None:
        super().__init__()
        self.objects = dict(truth)
        self.reachable = asyncio.Event()
        self.truth = truth

    async def relist(self) -> frozenset[str]:
        await self.reachable.wait()
        self.objects = {
            **{k: v for k, v in self.truth.items() if k.type not in self.unread},
            **{k: v for k, v in self.objects.items() if k.type in self.unread},
        }
        return await super().relist()


async def _leader_and_standby(start: Any, folder: Folder) -> tuple[Replica, Replica, Still]:
    """What the one has written since the other's watch stands still: a new table and gateway, and an edit."""
    folder.put("www", b"1")
    folder.put("old", b"1")
    a = await start("a/1", folder=folder)
    await until(lambda: a.ingest.owns_management and len(a.objects()) == 2)
    still = Still(folder.objects)
    b = await start("b/1", folder=still)
    folder.put("www", b"2")
    folder.put("new", b"1")
    folder.put("edge", b"1", type_=_GATEWAY)
    await until(lambda: len(b.objects()) == 4)
    return a, b, still


_WRITTEN = {"mgmt/shop/www": "2", "mgmt/shop/old": "1", "mgmt/shop/new": "1", "mgmt/shop/edge": "1"}


@pytest.mark.spec("M-61", "M-63")
async def test_what_the_former_leader_wrote_stays_until_a_new_listing_agrees(start: Any, folder: Folder) -> None:
    a, b, still = await _leader_and_standby(start, folder)
    await a.stop()
    folder.put("old", None)
    await until(lambda: b.ingest.owns_management)
    await b.ingest.settled()
    assert b.recorder.objects() == b.objects() == _WRITTEN
    still.put("seen", b"1")
    await until(lambda: "mgmt/shop/seen" in b.recorder.objects())
    still.reachable.set()
    await until(lambda: b.recorder.objects() == {k: v for k, v in _WRITTEN.items() if k != "mgmt/shop/old"})


async def test_of_what_cannot_be_listed_nothing_is_concluded(
    start: Any, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mgmt.ingest.folder._AGAIN", 0.05)
    a, b, still = await _leader_and_standby(start, folder)
    still.unread = frozenset({TABLE})
    still.reachable.set()
    await a.stop()
    folder.put("edge", None, type_=_GATEWAY)
    await until(lambda: b.recorder.objects() == {k: v for k, v in _WRITTEN.items() if k != "mgmt/shop/edge"})
    folder.put("old", None)
    still.unread = frozenset()
    await until(lambda: b.recorder.objects() == {"mgmt/shop/www": "2", "mgmt/shop/new": "1"})


@pytest.mark.spec("M-41")
async def test_with_redis_away_the_standby_reads_anew_before_it_compares(
    start: Any, folder: Folder, redis: EmbeddedRedis
) -> None:
    _, b, still = await _leader_and_standby(start, folder)
    with stopped(redis):
        await until(lambda: not b.ingest.synced and b.ingest.owns_management)
        await b.ingest.settled()
        assert b.recorder.objects() == _WRITTEN
        folder.put("old", None)
        still.reachable.set()
        await until(lambda: "mgmt/shop/old" not in b.recorder.objects())


async def test_who_gave_up_waiting_for_a_busy_server_is_not_taken_from_another(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its claim waits for the end of a long turn; when that is over, the agent has a session elsewhere."""
    a, b = await start("a/1"), await start("b/1")
    west = (await Agent("west").connect(a)).warm()
    gate, entered, write = asyncio.Event(), asyncio.Event(), a.store.write

    async def slow(*given: Any) -> Any:
        entered.set()
        await gate.wait()
        return await write(*given)

    monkeypatch.setattr(a.store, "write", slow)
    west.push({"www": 1})
    await entered.wait()
    waiting = asyncio.create_task(Agent("east").connect(a))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    east = (await Agent("east").connect(b)).warm()
    gate.set()
    await until(lambda: west.stored)
    await a.ingest.settled()
    await east.push_stored({"api": 1})
    assert east.goodbye == []
    await until(lambda: a.objects() == b.objects() == {"west/shop/www": "1", "east/shop/api": "1"})


async def test_who_has_just_claimed_a_source_says_of_nothing_that_it_is_gone(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former owner's record says that it was complete; meanwhile the stream was trimmed beyond what b knows."""
    a, b = await start("a/1", stream_max=20), await start("b/1", stream_max=20)
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 1})
    await until(lambda: b.objects() == {"east/shop/www": "1"})
    claim, busy = b.store.claim, (await Agent("west").connect(a)).warm()

    async def late(source: Any) -> Any:
        await east.push_stored({"new": 1})
        for i in range(80):
            await busy.push_stored({"busy": i})
        return await claim(source)

    monkeypatch.setattr(b.store, "claim", late)
    moved = await Agent("east").connect(b)
    loaded = await b.store.load()
    assert ObjectKey(TABLE, "east", "shop", "new") in loaded.inputs
    moved.warm()
