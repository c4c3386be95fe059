"""What ends a listing that was asked for: a listing of each kind that is there, and nothing that is only like one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fingerpost.cluster.kubernetes.mirror import SECRET, Mirror
from fingerpost.cluster.kubernetes.statuses import Statuses
from tests.unit.cluster.api_stand_in import SECRETS, TABLES, ApiStandIn, listed, standing_in
from tests.unit.relay.support import until

pytestmark = pytest.mark.spec("M-8")
_SECRETS = SECRETS.replace("/secrets", "/namespaces/shop/secrets")
_LATER = TABLES.replace("v2", "v3")
_TABLE = {"metadata": {"name": "www", "namespace": "shop"}}


@asynccontextmanager
async def _mirroring(server: ApiStandIn) -> AsyncIterator[Mirror]:
    async with standing_in(server) as api:
        mirror = Mirror("one", api, ["*.gloo.solo.io/*"], (), Statuses(api, "server"))
        async with mirror.running():
            mirror.want(SECRET, [("shop", "pair")])
            await until(lambda: TABLES in server.asked and not mirror.unread(SECRET) and not mirror.unlisted)
            yield mirror


@asynccontextmanager
async def _asking(server: ApiStandIn, mirror: Mirror, path: str) -> AsyncIterator[asyncio.Task[None]]:
    """A listing of everything that waits for `path`."""
    before = server.asked.get(path, 0)
    task = asyncio.create_task(mirror.relist())
    await until(lambda: server.asked.get(path, 0) > before)
    try:
        yield task
    finally:
        task.cancel()


async def test_a_kind_that_goes_meanwhile_is_not_waited_for_and_keeps_its_objects() -> None:
    server = ApiStandIn()
    server.answers[TABLES] = listed(_TABLE)
    async with _mirroring(server) as mirror:
        server.answers[TABLES] = 404, b"404 page not found"
        async with _asking(server, mirror, TABLES) as relist:
            server.version = ""
            await asyncio.wait_for(relist, 10)
        assert [key.name for key in mirror.bodies] == ["www"], "its going is no empty listing"
        assert mirror.unlisted == {"networking.gloo.solo.io/RouteTable"}


@pytest.mark.parametrize("running", [True, False])
async def test_a_secret_that_nobody_needs_any_more_is_not_waited_for(running: bool) -> None:
    server = ApiStandIn()
    async with _mirroring(server) as mirror:
        if running:
            server.silent.add(_SECRETS)
        else:
            server.answers[_SECRETS] = 500, b""
        async with _asking(server, mirror, _SECRETS) as relist:
            mirror.want(SECRET, [])
            await asyncio.wait_for(relist, 10)


async def test_of_a_kind_that_may_not_be_listed_no_listing_is_told() -> None:
    server = ApiStandIn()
    async with _mirroring(server) as mirror:
        server.answers[TABLES] = 403, b""
        async with _asking(server, mirror, TABLES) as relist:
            await until(lambda: [f.code for f in mirror.findings] == ["NotAllowed"])
            await until(lambda: server.asked[TABLES] > 3)
            assert not relist.done(), "what is missing of it would be taken for gone"
            del server.answers[TABLES]
            await asyncio.wait_for(relist, 10)


async def test_another_version_of_a_kind_is_listed_in_place_of_the_one_that_has_ended() -> None:
    server = ApiStandIn()
    async with _mirroring(server) as mirror:
        server.silent |= {TABLES, _LATER}
        async with _asking(server, mirror, TABLES) as relist:
            server.version = "v3"
            await until(lambda: _LATER in server.asked)
            assert not relist.done(), "nothing has been listed yet"
            server.silent.clear()
            await server.move()
            await asyncio.wait_for(relist, 10)


async def test_the_end_of_the_process_is_no_listing() -> None:
    server = ApiStandIn()
    async with _mirroring(server) as mirror:
        server.silent.add(TABLES)
        async with _asking(server, mirror, TABLES) as relist:
            pass
    assert relist.cancelled()
