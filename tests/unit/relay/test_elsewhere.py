"""A listing that only another replica can get: asked for, got, and answered, also when Redis forgets in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Mapping

import pytest

from fingerpost.relay.reasons import Reason
from mgmt.elsewhere import Elsewhere
from mgmt.relay.ports import Fence
from mgmt.relisting import Relisting
from mgmt.store.errors import StoreUnavailable


class Questions:
    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answered: dict[str, int] = {}
        self.away = False

    async def ask_listing(self, cluster: str) -> int:
        self.asked[cluster] += 1
        return self.asked[cluster]

    async def answer_listing(self, cluster: str, number: int) -> None:
        if self.away:
            raise StoreUnavailable("gone")
        self.answered[cluster] = number

    async def listings(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        return dict(self.asked), dict(self.answered)


class Agent:
    """What the relay knows of one that is connected."""

    def __init__(self) -> None:
        self.asked = 0

    def relist(self, types: Collection[str] = ()) -> None:
        self.asked += 1

    def close(self, reason: Reason, message: str, retry_after: float = 0.0) -> None:
        raise AssertionError(message)


class Replica:
    def __init__(self, questions: Questions) -> None:
        self.relisting = Relisting("mgmt")
        self.synced = True
        self.elsewhere = Elsewhere(questions, self.relisting, self._caught_up)

    async def _caught_up(self) -> bool:
        return self.synced

    def connect(self, cluster: str) -> Agent:
        agent = Agent()
        self.relisting.opened(cluster, Fence(1), agent, ("v1/Service",))
        return agent

    async def concluded(self) -> list[str]:
        found: list[str] = []
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.01):  # what is complete is there at once
                    found.append(await self.relisting.concluded(_settled))
        return found


async def _settled() -> None:
    """No turn is under way."""


async def _answer(replica: Replica, cluster: str, *, stored: bool = True) -> None:
    replica.relisting.listed(cluster, "v1/Service")
    assert await replica.concluded() == [cluster]
    await replica.elsewhere.concluded(cluster, stored=stored)


async def test_the_replica_that_has_the_agent_is_asked_and_its_answer_counts() -> None:
    questions = Questions()
    one, other = Replica(questions), Replica(questions)
    agent = other.connect("west")
    one.relisting.demand(("west", "mgmt"))
    for replica in (one, other, other, one):
        await replica.elsewhere.exchange()
    assert agent.asked == 1, "one question, one listing"
    assert questions.asked == {"west": 1}, "the management folder each replica reads itself"
    assert await one.concluded() == []
    await _answer(other, "west")
    await one.elsewhere.exchange()
    assert await one.concluded() == ["west"]
    await asyncio.gather(one.elsewhere.exchange(), other.elsewhere.exchange())
    assert agent.asked == 1


async def test_a_later_question_is_not_answered_by_an_earlier_listing() -> None:
    questions = Questions()
    one, third, other = Replica(questions), Replica(questions), Replica(questions)
    agent = other.connect("west")
    one.relisting.demand(("west",))
    await one.elsewhere.exchange()
    await other.elsewhere.exchange()
    third.relisting.demand(("west",))
    await third.elsewhere.exchange()
    await _answer(other, "west")
    await one.elsewhere.exchange()
    await third.elsewhere.exchange()
    assert (await one.concluded(), await third.concluded()) == (["west"], [])
    await other.elsewhere.exchange()
    assert agent.asked == 2
    await _answer(other, "west")
    await third.elsewhere.exchange()
    assert await third.concluded() == ["west"]


async def test_a_question_or_an_answer_that_redis_has_lost_comes_again() -> None:
    questions = Questions()
    one, other = Replica(questions), Replica(questions)
    agent = other.connect("west")
    one.relisting.demand(("west",))
    await one.elsewhere.exchange()
    questions.asked.clear()  # FLUSHALL
    await one.elsewhere.exchange()
    await other.elsewhere.exchange()
    assert agent.asked == 1
    questions.away = True
    await _answer(other, "west")
    questions.away = False
    await other.elsewhere.exchange()
    assert agent.asked == 2
    await _answer(other, "west", stored=False)  # Redis went away before what was listed was in it
    await other.elsewhere.exchange()
    assert agent.asked == 3
    await _answer(other, "west")
    await one.elsewhere.exchange()
    assert await one.concluded() == ["west"]


async def test_an_agent_that_comes_here_meanwhile_is_asked_here() -> None:
    questions = Questions()
    one = Replica(questions)
    one.relisting.demand(("west",))
    await one.elsewhere.exchange()
    agent = one.connect("west")
    assert agent.asked == 1
    one.relisting.listed("west", "v1/Service")
    assert await one.concluded() == ["west"]
    await one.elsewhere.exchange()
    assert not await one.concluded()


async def test_what_is_lost_after_a_question_was_asked_is_asked_for_again() -> None:
    questions = Questions()
    one, other = Replica(questions), Replica(questions)
    agent = other.connect("west")
    one.relisting.demand(("west",))
    await one.elsewhere.exchange()
    await other.elsewhere.exchange()
    one.relisting.demand(("west",))
    await _answer(other, "west")
    await one.elsewhere.exchange()
    assert await one.concluded() == [], "that listing had begun before"
    await other.elsewhere.exchange()
    assert agent.asked == 2
    await _answer(other, "west")
    await one.elsewhere.exchange()
    assert await one.concluded() == ["west"]


async def test_what_the_turn_of_a_listing_loses_waits_for_another_listing() -> None:
    replica = Replica(Questions())
    agent = replica.connect("west")
    replica.relisting.demand(("west",))
    replica.relisting.listed("west", "v1/Service")

    async def loses() -> None:
        replica.relisting.demand(("west",))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await replica.relisting.concluded(loses)
    assert agent.asked == 2
    replica.relisting.listed("west", "v1/Service")
    assert await replica.concluded() == ["west"]


async def test_a_listing_of_the_folder_does_not_answer_what_was_demanded_meanwhile() -> None:
    replica, begun, goes_on = Replica(Questions()), asyncio.Queue[int](), asyncio.Queue[int]()

    async def relist() -> None:
        begun.put_nowait(1)
        await goes_on.get()

    listing = asyncio.create_task(replica.relisting.list_folder(relist))
    replica.relisting.demand(("mgmt",))
    await begun.get()
    replica.relisting.demand(("mgmt",))
    goes_on.put_nowait(1)
    await begun.get()
    assert await replica.concluded() == []
    goes_on.put_nowait(1)
    assert await replica.relisting.concluded(_settled) == "mgmt"
    listing.cancel()
