"""A listing that only another replica can get: asked for, got, and answered, also when Redis forgets in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping

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
        self.relisting = Relisting(lambda: None, "mgmt")
        self.elsewhere = Elsewhere(questions, self.relisting)

    def connect(self, cluster: str) -> Agent:
        agent = Agent()
        self.relisting.opened(cluster, Fence(1), agent, ("v1/Service",))
        return agent

    def concluded(self) -> list[str]:
        found = []
        while not self.relisting.complete.empty():
            found.append(self.relisting.complete.get_nowait())
        return found


async def _answer(replica: Replica, cluster: str, *, stored: bool = True) -> None:
    replica.relisting.listed(cluster, "v1/Service")
    assert replica.concluded() == [cluster]
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
    assert one.concluded() == []
    await _answer(other, "west")
    await one.elsewhere.exchange()
    assert one.concluded() == ["west"]
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
    assert (one.concluded(), third.concluded()) == (["west"], [])
    await other.elsewhere.exchange()
    assert agent.asked == 2
    await _answer(other, "west")
    await third.elsewhere.exchange()
    assert third.concluded() == ["west"]


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
    assert one.concluded() == ["west"]


async def test_an_agent_that_comes_here_meanwhile_is_asked_here() -> None:
    questions = Questions()
    one = Replica(questions)
    one.relisting.demand(("west",))
    await one.elsewhere.exchange()
    agent = one.connect("west")
    assert agent.asked == 1
    one.relisting.listed("west", "v1/Service")
    assert one.concluded() == ["west"]
    await one.elsewhere.exchange()
    assert not one.concluded()
