"""Facts about what the server asks for are announced once an agent that has just started knows the questions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from agent.relay import link
from agent.relay.facts import Fact, TypeFacts
from fingerpost.objects import content_hash
from fingerpost.relay.interest import Interest
from fingerpost.relay.v1 import relay_pb2 as pb
from tests.fleet.fleet_network import Tap
from tests.unit.relay.conftest import World
from tests.unit.relay.support import Agent, facts, running, until

TYPE = "fingerpost.dev/ServiceFacts"


def answering(world: World) -> Agent:
    """One that knows, as soon as it is asked, what the server holds of a former one."""
    agent = world.agent()
    agent.pull._on_interest = lambda asked, _digest: agent.push.update(facts(TYPE, 3) if asked.services else [])
    agent.push.complete({TYPE, "v1/Service"})
    return agent


def hold(world: World) -> None:
    for fact in facts(TYPE, 3):
        assert fact.body is not None
        world.ingest.put(TYPE, (fact.namespace, fact.name), (content_hash(fact.body), fact.body))


@pytest.mark.spec("M-9", "M-50")
async def test_a_restarted_agent_takes_back_nothing_that_is_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_QUESTIONS", 60.0)
    hold(world)
    world.publisher.wanted = Interest(services=("ns/n0", "ns/n1", "ns/n2"))
    opened = asyncio.Event()

    async def late(cluster: str) -> None:
        await opened.wait()

    world.publisher.ready = late  # type: ignore[method-assign]  # Pull is answered later than Push
    agent = answering(world)
    async with running(agent):
        await until(lambda: agent.link.reached)
        assert not agent.push.asks, "nothing is announced yet"
        opened.set()
        await until(lambda: agent.push.in_step)
    assert [removes for _, _, removes in world.ingest.accepts if removes] == []
    assert len(world.ingest.held[TYPE]) == 3


async def test_a_server_that_asks_nothing_before_it_is_told_something_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_QUESTIONS", 0.05)

    async def never(cluster: str) -> None:
        await asyncio.Event().wait()

    world.publisher.ready = never  # type: ignore[method-assign]
    agent = answering(world)
    async with running(agent):
        await until(lambda: agent.push.in_step)


async def test_the_answer_is_said_after_the_facts(world: World) -> None:
    agent = world.agent()
    agent.push.complete({TYPE})
    async with running(agent):
        await until(lambda: agent.push.in_step)

        def answer(_asked: Interest, digest: bytes) -> None:
            agent.push.update(facts(TYPE, 3))
            agent.push.answered(digest)

        agent.pull._on_interest = answer
        world.publisher.wanted = Interest(services=("ns/n0",))
        world.publisher.wake()
        await until(lambda: world.ingest.answers[-1:] == [(world.publisher.wanted.digest, 3)])


async def test_what_hello_announces_holds_the_answer(world: World) -> None:
    agent = world.agent()
    agent.push.complete({TYPE})
    agent.push.update(facts(TYPE, 3))
    async with running(agent):
        await until(lambda: agent.push.in_step)
    assert world.ingest.sessions[0].answered == Interest().digest
    assert world.ingest.answers == []


async def test_without_a_message_before_it_an_answer_counts_for_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = world.agent()
    agent.push.complete({TYPE})
    async with running(agent):
        await until(lambda: agent.push.in_step)
        answers = list(world.ingest.answers)
        monkeypatch.setattr(agent.push, "_delta", _lost(agent, agent.push._delta))
        agent.push.update(facts(TYPE, 3))
        agent.push.answered(b"lost")
        await until(lambda: not agent.push._unanswered)
        monkeypatch.undo()
        agent.push.update(facts("v1/Service", 1))
        agent.push.complete({"v1/Service"})
        await until(lambda: world.ingest.held.get("v1/Service"))
    assert world.ingest.answers == answers


def _lost(
    agent: Agent, delta: Callable[[str, TypeFacts], pb.PushRequest]
) -> Callable[[str, TypeFacts], pb.PushRequest]:
    """The frame is counted, and does not arrive."""

    def made(type_: str, waiting: TypeFacts) -> pb.PushRequest:
        delta(type_, waiting)
        return pb.PushRequest(heartbeat=pb.Heartbeat())

    return made


@pytest.mark.spec("M-50")
async def test_an_agent_that_is_back_takes_back_nothing_that_is_asked_for_by_now(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it was away it let go of what was asked for no more; by now it is asked for again."""
    monkeypatch.setattr(link, "_QUESTIONS", 60.0)
    world.publisher.wanted = Interest(services=("ns/n0", "ns/n1", "ns/n2"))
    opened = asyncio.Event()

    async def late(cluster: str) -> None:
        await opened.wait()

    async with Tap(world.relay.port).running() as road:
        agent = Agent(f"127.0.0.1:{road.port}")
        agent.pull._on_interest = lambda asked, _digest: agent.push.update(facts(TYPE, 3) if asked.services else [])
        agent.push.complete({TYPE, "v1/Service"})
        async with running(agent):
            await until(lambda: agent.push.in_step and len(world.ingest.held.get(TYPE, ())) == 3)
            monkeypatch.setattr(world.publisher, "known", late)  # Pull is answered later than Push
            road.cut()
            agent.push.update(Fact(TYPE, fact.namespace, fact.name, None) for fact in facts(TYPE, 3))
            await until(lambda: agent.link.connections > 1 and agent.link.reached)
            assert not agent.push.asks, "nothing is announced yet"
            opened.set()
            await until(lambda: agent.push.in_step and agent.pull.connected)
    assert [removes for _, _, removes in world.ingest.accepts if removes] == []
    assert len(world.ingest.held[TYPE]) == 3
