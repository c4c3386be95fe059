"""How agents come back after they have all lost their server (M-21): the real back-off, on a clock of its own."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from fingerpost.relay import link
from fingerpost.relay.link import keep_linked
from fingerpost.relay.reasons import LinkLost, Reason
from fingerpost.relay.settings import RelaySettings
from mgmt.relay.server import serve
from tests.unit.relay.support import FAST, Agent, FakeIngest, FakePublisher, until

AGENTS = 200
DEFAULTS = RelaySettings()


class _NoWaiting(selectors.DefaultSelector):
    """Nothing ever happens outside: what is waited for is time, which passes at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everybody waits for somebody else"
        self.now += max(timeout, 0.0)
        return []


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _NoWaiting()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def _in_virtual_time(main: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        runner.run(main())  # type: ignore[arg-type]  # it is a coroutine function


async def _storm(random: Random, away: float, attempt: float, spread: float) -> list[float]:
    """When each of the agents comes back, in seconds after the return of a server that was `away`. `attempt`: how long
    one takes to fail. `spread`: of the Goodbye; 0: the server has gone without a word.
    """
    clock = asyncio.get_running_loop().time
    lost, back = clock() + 600.0, clock() + 600.0 + away  # all had been connected for long
    came: list[float] = []

    async def connect() -> None:
        if clock() < lost:
            await asyncio.sleep(lost - clock())
            raise LinkLost("lost", reason=Reason.DRAINING, retry_after=random.uniform(0, spread))
        if clock() < back:
            await asyncio.sleep(attempt)
            raise LinkLost("refused")
        came.append(clock() - back)
        await asyncio.sleep(1e9)

    holding = [asyncio.ensure_future(keep_linked(connect, DEFAULTS)) for _ in range(AGENTS)]
    await asyncio.sleep(600.0 + away + 4 * DEFAULTS.retry_ceiling)
    for one in holding:
        one.cancel()
    await asyncio.wait(holding)
    return sorted(came)


def _most_in_a_second(came: list[float]) -> int:
    return max(sum(begin <= at < begin + 1.0 for at in came) for begin in came)


@pytest.mark.spec("M-21")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("away", "attempt", "spread"),
    [
        pytest.param(60.0, 0.0, 0.0, id="refused-for-a-minute"),
        pytest.param(60.0, 0.0, 10.0, id="drained-and-away-for-a-minute"),
        pytest.param(60.0, 10.0, 0.0, id="unreachable-for-a-minute"),
        pytest.param(600.0, 0.0, 0.0, id="refused-for-long"),
        pytest.param(2.0, 0.0, 10.0, id="drained-and-soon-back"),
    ],
)
def test_agents_come_back_spread_over_time(
    monkeypatch: pytest.MonkeyPatch, seed: int, away: float, attempt: float, spread: float
) -> None:
    random = Random(seed)
    monkeypatch.setattr(link.random, "uniform", random.uniform)
    came: list[float] = []

    async def storm() -> None:
        came.extend(await _storm(random, away, attempt, spread))

    _in_virtual_time(storm)
    assert len(came) == AGENTS, "each comes back, once"
    assert _most_in_a_second(came) <= AGENTS / 4
    if away <= spread:
        assert came[-1] <= spread + DEFAULTS.retry_first, "a restart keeps nobody waiting longer than that"


@pytest.mark.spec("M-21")
async def test_a_server_that_stops_spreads_its_agents() -> None:
    async with serve(FakeIngest(), FakePublisher(), settings=RelaySettings(drain_grace=2.0)) as relay:
        agents = [Agent(f"127.0.0.1:{relay.port}", cluster=f"c{number}") for number in range(8)]
        holding = [asyncio.ensure_future(agent.link.run()) for agent in agents]
        await until(lambda: all(agent.pull.connected for agent in agents))
    await until(lambda: all(agent.losses for agent in agents))
    for one in holding:
        one.cancel()
    pauses = [agent.losses[0].retry_after for agent in agents]
    assert {agent.losses[0].reason for agent in agents} == {Reason.DRAINING}
    assert all(0 <= pause <= DEFAULTS.drain_spread for pause in pauses)
    assert len(set(pauses)) == len(agents)
    assert FAST.drain_spread == 0.0
