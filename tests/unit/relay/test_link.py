"""The link itself: sequence numbers, Goodbye, silence, and how attempts are spread."""

from __future__ import annotations

import asyncio
import time

import pytest

from fingerpost.http import CannotListen
from fingerpost.relay import link
from fingerpost.relay.frames import Parts, Sequence
from fingerpost.relay.link import keep_linked
from fingerpost.relay.messages import goodbye, heartbeat
from fingerpost.relay.reasons import LinkLost, Reason, Refused
from fingerpost.relay.settings import RelaySettings
from fingerpost.relay.stream import Stream
from fingerpost.relay.v1 import relay_pb2 as pb
from mgmt.relay.server import serve
from tests.unit.relay.conftest import World
from tests.unit.relay.support import FAST, Agent, FakeIngest, FakePublisher, facts, running, until


async def test_lower_sequence_number_is_refused(world: World) -> None:
    agent = world.agent()
    agent.push.complete(["core/Service"])
    async with running(agent):
        await until(lambda: agent.push.in_step)
        agent.push.update(facts("core/Service", 2))
        await until(lambda: agent.push._seq == agent.push._acked > 0)
        agent.push._seq -= 1  # the next message bears a number that was used
        agent.push.update(facts("core/Service", 2, "new"))
        await until(lambda: agent.losses)
        assert agent.losses[0].reason is Reason.PROTOCOL
        assert "is not above" in agent.losses[0].message
        await until(lambda: agent.push.in_step)


def test_numbers_and_parts() -> None:
    numbers = Sequence()
    numbers.check(1)
    numbers.check(5)
    with pytest.raises(Refused):
        numbers.check(5)
    parts = Parts()
    assert parts.add("a", 0, 2, b"x") is None
    assert parts.add("b", 0, 0, b"whole") == b"whole"
    assert parts.add("a", 1, 2, b"y") == b"xy"
    with pytest.raises(Refused):
        parts.add("a", 1, 2, b"y")


async def test_draining_server_says_goodbye() -> None:
    ingest, publisher = FakeIngest(), FakePublisher()
    async with serve(ingest, publisher, settings=FAST) as relay:
        agent = Agent(f"127.0.0.1:{relay.port}")
        task = asyncio.get_running_loop().create_task(agent.link.run())
        await until(lambda: agent.pull.connected)
    await until(lambda: agent.losses)
    assert agent.losses[0].reason is Reason.DRAINING
    task.cancel()


async def test_port_in_use(world: World) -> None:
    with pytest.raises(CannotListen, match=f'^relay_address is "127.0.0.1:{world.relay.port}"'):
        async with serve(FakeIngest(), FakePublisher(), address=f"127.0.0.1:{world.relay.port}", settings=FAST):
            pass


async def test_three_missed_heartbeats_end_the_stream() -> None:
    sent: list[bytes] = []

    async def write(frame: bytes) -> None:
        sent.append(frame)

    async def read() -> bytes | None:
        await asyncio.get_running_loop().create_future()
        return None

    stream = Stream(
        read,
        write,
        RelaySettings(heartbeat=0.02),
        heartbeat=lambda: pb.PushRequest(heartbeat=heartbeat()).SerializeToString(),
        goodbye=lambda refusal: pb.PushRequest(goodbye=goodbye(refusal)).SerializeToString(),
    )
    with pytest.raises(LinkLost, match="nothing heard"):
        await stream.run(lambda frame: None, lambda: None)
    assert len(sent) >= 2
    assert all(pb.PushRequest.FromString(f).HasField("heartbeat") for f in sent)


async def test_who_was_busy_itself_does_not_take_that_for_silence() -> None:
    beat = pb.PushRequest(heartbeat=heartbeat()).SerializeToString()
    frames: asyncio.Queue[bytes] = asyncio.Queue()
    loop, stalls = asyncio.get_running_loop(), 0

    def stall() -> None:
        """A heartbeat has come, and for ten of them nobody reads."""
        nonlocal stalls
        frames.put_nowait(beat)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            pass
        stalls += 1
        loop.call_later(0.02, stall)

    async def read() -> bytes | None:
        frame = await frames.get()
        for _ in range(9):  # gRPC hands it on over several rounds of the loop
            await asyncio.sleep(0)
        return frame

    async def write(_frame: bytes) -> None:
        return

    settings = RelaySettings(heartbeat=0.05)
    stream = Stream(read, write, settings, heartbeat=lambda: beat, goodbye=lambda _: b"")
    held = asyncio.create_task(stream.run(lambda frame: None, lambda: None))
    loop.call_later(0.04, stall)
    await until(lambda: stalls >= 3 or held.done())
    assert not held.done(), held.exception()
    held.cancel()
    await asyncio.wait([held])


async def test_a_link_that_breaks_while_it_is_cancelled_is_not_held_any_longer() -> None:
    begun = 0

    async def breaks() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            raise LinkLost("gone in the same moment") from None

    async def connect() -> None:
        nonlocal begun
        begun += 1
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(breaks())
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several

    holding = asyncio.create_task(keep_linked(connect, FAST))
    await until(lambda: begun)
    holding.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([holding])
    assert holding.cancelled()
    assert begun == 1


async def test_reconnects_back_off_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    ceilings: list[float] = []
    pauses: list[float] = []
    monkeypatch.setattr(link.random, "uniform", lambda low, high: ceilings.append(high) or (low + high) / 2)

    async def no_time(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(link.asyncio, "sleep", no_time)
    left = 14

    async def connect() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise ZeroDivisionError
        raise LinkLost("gone", retry_after=100.0 if left == 1 else 0.0)

    with pytest.raises(ZeroDivisionError):
        await keep_linked(connect, RelaySettings())
    assert ceilings[:3] == [1.0, 1.6, pytest.approx(2.56)]
    assert ceilings[-1] == 60.0
    assert pauses[-1] == 130.0, "the peer's wish is a floor under the jitter"
