"""Redis lacks what agents were told: by a server that could not store it, and is gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ingest_support import Agent, Folder, Replica, until

pytestmark = [pytest.mark.spec("M-41"), pytest.mark.spec("M-17")]


class SlowFolder(Folder):
    """A management cluster that lists its objects anew when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.lists = asyncio.Event()

    async def relist(self) -> frozenset[str]:
        await self.lists.wait()
        return await super().relist()


async def _gone_with_what_it_told(start: Any, folder: Folder) -> int:
    """A replica of two clusters has told agents what it could not store. Returns the version that they hold."""
    a = await start("a/1")
    east, west = (await Agent("east").connect(a)).warm(), (await Agent("west").connect(a)).warm()
    await east.push_stored({"www": 1})
    await west.push_stored({"cart": 1})
    folder.put("front", b"1")
    await until(lambda: a.recorder.objects().get("mgmt/shop/front") == "1")
    await a.ingest.settled()
    a.cut()
    folder.put("front", b"2")
    east.push({"www": 2})
    await until(lambda: {"2"} == {a.recorder.objects()[f"{x}"] for x in ("mgmt/shop/front", "east/shop/www")})
    told = int(a.ingest.seq)
    await a.stop()
    return told


async def _back(start: Any, folder: Folder, told: int) -> tuple[Replica, list[dict[str, str]]]:
    """Its successor, to which an agent has come; and what that was told."""
    b: Replica = await start("a/2", folder=folder)
    heard: list[dict[str, str]] = []
    publish = b.recorder.publish

    def published(results: Any, version: int, *more: Any) -> None:
        publish(results, version, *more)
        if version > told:
            ready = [name for name, state in b.ingest.states.clusters.items() if state.ready]
            heard.append({k: v for k, v in b.recorder.objects().items() if k.split("/")[0] in (*ready, "mgmt")})

    b.recorder.publish = published  # type: ignore[method-assign]
    b.ingest.seen(told)
    return b, heard


async def test_nobody_is_told_the_former_value_while_the_management_cluster_is_listed(
    start: Any, folder: Folder
) -> None:
    told = await _gone_with_what_it_told(start, folder)
    slow = SlowFolder()
    slow.objects = folder.objects
    b, heard = await _back(start, slow, told)
    await until(lambda: b.ingest.owns_management)
    await b.ingest.settled()
    assert b.recorder.objects()["mgmt/shop/front"] == "1", "Redis has it so"
    assert not heard
    slow.lists.set()
    await until(lambda: heard)
    assert {told["mgmt/shop/front"] for told in heard} == {"2"}


async def test_clusters_that_have_not_told_anew_are_kept(start: Any, folder: Folder) -> None:
    told = await _gone_with_what_it_told(start, folder)
    b, heard = await _back(start, folder, told)
    await until(lambda: heard)
    assert heard[0] == {"mgmt/shop/front": "2"}
    assert {b.state("east"), b.state("west")} == {"Cold"}
    east = await Agent("east").connect(b)
    await east.push_stored({"www": 2})
    assert not b.ingest.states.clusters["east"].ready
    east.warm()
    await until(lambda: b.state("east") == "Warm")
    await east.leave()
    await until(lambda: b.state("east") == "Cached")
    assert b.ingest.states.clusters["east"].ready
    assert b.state("west") == "Cold"
    assert {told.get("east/shop/www", "2") for told in heard} == {"2"}


async def test_clusters_that_others_feed_are_not_doubted(start: Any) -> None:
    a, b = await start("a/1"), await start("b/1")
    east, west = (await Agent("east").connect(a)).warm(), (await Agent("west").connect(b)).warm()
    await east.push_stored({"www": 1})
    await west.push_stored({"www": 1})
    await until(lambda: {b.state("east"), b.state("west")} == {"Warm"})
    b.ingest.seen(9000)
    await until(lambda: b.ingest.seq > 9000)
    assert {b.state("east"), b.state("west")} == {"Warm"}
