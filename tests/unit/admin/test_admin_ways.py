"""`/trace`, `/events` and `/debug/`."""

from __future__ import annotations

import asyncio

import pytest
from admin_world import SECOND, WWW, World

from fingerpost.relay.applied import ScopeException
from mgmt.changes.events import Kind


async def test_the_way_of_a_change_has_its_moments_and_each_gateway() -> None:
    world = World()
    world.answer("east")
    version = world.edit()
    world.answer("east", proxies=1)
    (item,) = (await world.get("/trace", kind="rt", namespace="shop", name="www"))["items"]
    assert (item["known"], item["configVersion"], item["together"]) == (True, version, 0)
    # the management cluster's objects are read by the server itself: nobody has pushed them
    assert list(item["stages"]) == ["published", "seen", "stored", "translated"]
    assert item["stages"]["seen"] < item["stages"]["translated"] < item["stages"]["stored"]
    east, west = item["clusters"]
    assert (east["name"], bool(east["applied"]), east["gateways"][0]["reason"]) == ("east", True, "")
    assert (west["name"], west["applied"], west["gateways"][0]["applied"]) == ("west", "", "")
    assert west["gateways"][0]["reason"] == "on its way"


async def test_a_gateway_that_refuses_the_object_has_not_its_change() -> None:
    world = World()
    world.edit()
    world.answer("east", ScopeException(contribution=WWW.contribution, code="Refused", message="no such thing"))
    (item,) = (await world.get("/trace", kind="rt", name="www", namespace="shop"))["items"]
    east = item["clusters"][0]
    assert (east["applied"], east["gateways"][0]["reason"]) == ("", "Refused: no such thing")


async def test_an_object_that_is_gone_still_has_its_last_change() -> None:
    world = World()
    world.put({WWW: None})
    (item,) = (await world.get("/trace", kind="rt", name="www", namespace="shop"))["items"]
    assert (item["known"], len(item["clusters"])) == (True, 2)
    assert (await world.get("/trace", kind="rt", name="never", namespace="shop"))["items"] == []


async def test_a_version_leads_to_what_made_it() -> None:
    world = World()
    version = world.edit()
    found = await world.get(f"/trace/{version}")
    assert [(c["kind"], c["name"]) for c in found["changes"]] == [("RouteTable", "www")]
    body = await world.get("/trace/99", expect=404)
    assert body["error"]["code"] == "UnknownVersion"


async def test_events_are_given_since_one_and_of_one_cluster() -> None:
    world = World()
    world.events.add(Kind.CONNECTED, "east", message="agent")
    world.events.add(Kind.STORE_LOST)
    first, second = (await world.get("/events"))["items"]
    assert (first["type"], first["cluster"], second["type"]) == ("Connected", "east", "StoreLost")
    assert (await world.get("/events", since=first["id"]))["items"] == [second]
    assert (await world.get("/events", cluster="east"))["items"] == [first]
    assert (await world.get("/events", expect=400, since="yesterday"))["error"]["code"] == "BadSince"


async def test_events_can_be_waited_for() -> None:
    world = World()
    waiting = asyncio.ensure_future(world.get("/events", wait="20s"))
    while not world.events.changed.awaited:  # noqa: ASYNC110 - it is another task that waits
        await asyncio.sleep(0)
    world.moment += SECOND
    world.events.add(Kind.ROTATED, "east")
    assert [e["type"] for e in (await waiting)["items"]] == ["Rotated"]


@pytest.mark.parametrize("page", ["tasks", "memory", "engine", "queues"])
async def test_pages_for_debugging_answer_loopback_only(page: str) -> None:
    world = World()
    assert f"/debug/{page}" in (await world.get("/debug/"))["pages"]
    assert await world.get(f"/debug/{page}", types="5")
    async with world.client("10.1.2.3") as far:
        for path in (f"/debug/{page}", "/trace?kind=rt", "/events"):
            assert (await far.get(path)).status_code == 403, path
    assert (await world.get("/debug/nonsense", expect=404))["error"]["code"] == "NoSuchPath"


async def test_the_engine_tells_how_often_its_steps_ran() -> None:
    world = World()
    before = {n["name"]: n["runs"] for n in (await world.get("/debug/engine"))["nodes"]}
    world.edit()
    after = {n["name"]: n["runs"] for n in (await world.get("/debug/engine"))["nodes"]}
    assert 0 < sum(after.values()) - sum(before.values()) < 40
