"""A gateway that goes: its agent hears of it, whatever is lost or under way then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fingerpost.relay.pieces import PieceList
from fingerpost.relay.v1 import relay_pb2 as pb
from mgmt.relay.pull import PullSession
from tests.unit.relay.conftest import World
from tests.unit.relay.support import ROUTES, Agent, View, numbered, on_want, running, until

GW = "shop/gw"


@asynccontextmanager
async def _served(world: World) -> AsyncIterator[Agent]:
    """An agent that has the gateway."""
    world.publisher.publish(GW, {ROUTES: PieceList(numbered(10))})
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
        yield agent


def _goes(world: World) -> None:
    view = world.publisher.views[GW]
    view.gone, view.keep, view.confirmed = True, {}, True
    world.publisher.publish(GW, dict.fromkeys(view.resources))


@pytest.mark.spec("M-13")
async def test_a_gateway_that_goes_while_pieces_are_asked_for_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not to be had any more, and there are no digests of what is gone."""
    async with _served(world) as agent:
        on_want(monkeypatch, lambda: _goes(world))
        world.publisher.publish(GW, {ROUTES: PieceList(numbered(7, "lost"))})
        await until(lambda: not agent.desired.scopes)
        assert {ROUTES: None} in [changed for _, _, changed in agent.versions]
        world.publisher.views[GW] = View()
        world.publisher.publish(GW, {ROUTES: PieceList(numbered(3, "back"))})
        await until(lambda: agent.has(world.publisher))


@pytest.mark.spec("M-13")
async def test_that_a_gateway_is_gone_is_said_again_when_it_was_lost_on_the_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _served(world) as agent:
        dropped: list[object] = []
        original = agent.desired.delta
        monkeypatch.setattr(agent.desired, "delta", dropped.append)
        _goes(world)
        await until(lambda: dropped)
        monkeypatch.setattr(agent.desired, "delta", original)
        agent.desired.scopes[GW].resyncing = True
        agent.desired.resync[GW] = None
        agent.pull._wake()
        await until(lambda: not agent.desired.scopes)


async def test_a_gateway_that_goes_and_comes_back_before_its_pieces_are_there_is_served(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _served(world) as agent:
        held: list[set[bytes]] = []
        original = PullSession._want
        monkeypatch.setattr(PullSession, "_want", lambda _self, hashes: held.append(hashes))
        world.publisher.publish(GW, {ROUTES: PieceList(numbered(7, "lost"))})
        await until(lambda: held)
        scope = agent.desired.scopes[GW]
        _goes(world)
        await until(lambda: len(scope.waiting) == 2)
        world.publisher.views[GW] = View()
        world.publisher.publish(GW, {ROUTES: PieceList(numbered(3, "back"))})
        await until(lambda: len(scope.waiting) == 3)
        monkeypatch.setattr(PullSession, "_want", original)
        agent.desired.take_pieces(pb.Pieces(unknown=sorted(held[0])))
        agent.pull._wake()
        await until(lambda: agent.has(world.publisher))
        assert [changed[ROUTES] is None for _, _, changed in agent.versions] == [False, True, False]


async def test_a_confirmation_that_comes_later_reaches_the_agent_of_a_gateway_that_is_gone(world: World) -> None:
    world.publisher.publish(GW, {ROUTES: PieceList(numbered(3))})
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
        view = world.publisher.views[GW]
        view.gone, view.keep, view.confirmed = True, {}, False
        world.publisher.publish(GW, {ROUTES: None})
        await until(lambda: not agent.desired.scopes)
        assert agent.confirmed[-1] is False
        view.keep, view.confirmed = {}, True  # the version stays
        world.publisher.wake()
        await until(lambda: agent.confirmed[-1])
