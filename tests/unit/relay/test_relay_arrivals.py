"""How far the changes of an agent's own objects have come travels beside what has a version: the newest of each, and
on each stream anew.
"""

from __future__ import annotations

import pytest

from fingerpost.objects import ObjectKey
from fingerpost.relay.v1 import relay_pb2 as pb
from tests.unit.relay.conftest import World
from tests.unit.relay.raw_peer import PULL, raw_peer
from tests.unit.relay.support import running, until

pytestmark = pytest.mark.spec("M-57")


def _key(number: int) -> ObjectKey:
    return ObjectKey("networking.gloo.solo.io/RouteTable", "east", "shop", f"t{number}")


def _name(number: int) -> str:
    return f"networking.gloo.solo.io/RouteTable/shop/t{number}"


async def test_an_agent_is_told_what_is_known_and_what_becomes_known(world: World) -> None:
    many = 2500  # more than a message has
    for number in range(many):
        world.publisher.told.put(_key(number), b"{}")
    world.publisher.told.put(_key(7), b'{"generation":2}')
    world.publisher.told.put(_key(8), None)
    agent = world.agent()
    async with running(agent):
        await until(lambda: len(agent.arrivals) >= many - 1)
        told = [(_name(n), b"{}") for n in range(many) if n not in (7, 8)]
        assert agent.arrivals == [*told, (_name(7), b'{"generation":2}')]
        agent.arrivals.clear()
        world.publisher.told.put(_key(9), b"{}")  # it is so already
        world.publisher.told.put(_key(5), b"")
        world.publisher.wake()
        await until(lambda: agent.arrivals)
        assert agent.arrivals == [(_name(5), b"")]


async def test_a_new_stream_is_told_all_again(world: World) -> None:
    world.publisher.told.put(_key(1), b"{}")
    for _ in range(2):
        agent = world.agent()
        async with running(agent):
            await until(lambda agent=agent: agent.arrivals)  # type: ignore[misc]  # bound now
            assert agent.arrivals == [(_name(1), b"{}")]


async def test_an_agent_that_came_before_arrivals_is_told_none(world: World) -> None:
    world.publisher.told.put(_key(1), b"{}")
    async with raw_peer(world.relay.port) as peer:
        call = await peer.greeted(PULL)  # names no feature
        world.publisher.wake()
        world.publisher.publish("gw/ingress", {})
        bodies = []
        while "delta" not in bodies:
            bodies.append(pb.PullResponse.FromString(await call.read()).WhichOneof("body"))
        world.publisher.told.put(_key(2), b"{}")
        world.publisher.publish("gw/other", {})
        while bodies.count("delta") < 2:
            bodies.append(pb.PullResponse.FromString(await call.read()).WhichOneof("body"))
        assert "arrivals" not in bodies
        call.cancel()
