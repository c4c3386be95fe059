"""Facts go up: what moves when nothing, one thing or everything changed, and how both sides find back into step."""

from __future__ import annotations

import asyncio

import pytest

from agent.relay.facts import Fact
from fingerpost.objects import canonical, content_hash, trim
from fingerpost.relay.reasons import Reason, Refused
from mgmt.relay.push import PushSession
from tests.unit.relay.conftest import World
from tests.unit.relay.support import FAST, Agent, facts, running, until

T, U = "core/Service", "networking.gloo.solo.io/RouteTable"


def same(agent: Agent, world: World) -> bool:
    return all(
        f.digest.total == world.ingest.sums[t].total
        and {n: h.body for n, h in f.held.items()} == {n: b for n, (_, b) in world.ingest.held.get(t, {}).items()}
        for t, f in agent.push.facts.types.items()
        if f.held or t in world.ingest.sums
    )


@pytest.mark.spec("M-11", "M-12")
async def test_reconnect_unchanged_and_one_change_of_20000(world: World) -> None:
    agent = world.agent()
    agent.push.update(facts(T, 20_000))
    agent.push.complete([T, U])
    async with running(agent):
        await until(lambda: agent.push.in_step and sorted(world.ingest.lists) == [T, U], 60)
    assert same(agent, world)
    world.ingest.accepts.clear()
    world.ingest.lists.clear()
    before = agent.link.bytes_in + agent.link.bytes_out

    async with running(agent):
        await until(lambda: sorted(world.ingest.lists) == [T, U])
        assert world.ingest.accepts == [], "nothing changed, so no object may move"
        agent.push.update([Fact(T, "ns", "n7", b'{"a":"new"}')])
        await until(lambda: agent.push.in_step and agent.push._seq == 1)
        assert world.ingest.accepts == [(T, 1, 0)]
    assert agent.link.bytes_in + agent.link.bytes_out - before < 64 * 1024
    assert same(agent, world)

    # One object changed, one came and one went while the link was down: only the buckets concerned are looked at.
    agent.push.update([Fact(T, "ns", "n8", b'{"b":1}'), Fact(T, "ns", "extra", b"{}"), Fact(T, "ns", "n9", None)])
    before = agent.link.bytes_in + agent.link.bytes_out
    world.ingest.accepts.clear()
    async with running(agent):
        await until(lambda: agent.push.in_step and same(agent, world))
    assert sum(u for _, u, _ in world.ingest.accepts) == 2
    assert sum(r for _, _, r in world.ingest.accepts) == 1
    assert agent.link.bytes_in + agent.link.bytes_out - before < 64 * 1024


@pytest.mark.spec("M-8")
async def test_equal_objects_are_not_sent(world: World) -> None:
    agent = world.agent()
    agent.push.complete([T])
    async with running(agent):
        agent.push.update(facts(T, 3))
        await until(lambda: agent.push.in_step and len(world.ingest.held.get(T, {})) == 3)
        service = {"metadata": {"name": "s", "managedFields": [1]}, "spec": {"p": 1}, "status": {"conditions": []}}
        agent.push.update([Fact(T, "ns", "s", canonical(trim(T, service)))])
        await until(lambda: agent.push.in_step and ("ns", "s") in world.ingest.held[T])
        sent = agent.push._seq
        agent.push.update(facts(T, 3))
        service |= {"metadata": {"name": "s", "managedFields": [2]}, "status": {"conditions": ["other"]}}
        agent.push.update([Fact(T, "ns", "s", canonical(trim(T, service)))])
        assert not agent.push._pending()
        assert agent.push._seq == sent


@pytest.mark.spec("M-13")
async def test_lost_message_resyncs_the_type_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = world.agent()
    agent.push.update([*facts(T, 50), *facts(U, 50)])
    agent.push.complete([T, U])
    async with running(agent):
        await until(lambda: agent.push.in_step and same(agent, world))
        world.ingest.accepts.clear()
        original, dropped = PushSession._delta, []

        def drop_one(self: PushSession, delta: object) -> None:
            if dropped:
                original(self, delta)  # type: ignore[arg-type]  # handed through
            else:
                dropped.append(delta)

        monkeypatch.setattr(PushSession, "_delta", drop_one)
        agent.push.update([Fact(T, "ns", "n1", b'{"lost":1}')])
        await until(lambda: dropped)
        agent.push.update([Fact(T, "ns", "n2", b'{"next":1}')])
        agent.push.update([Fact(U, "ns", "n2", b'{"other":1}')])
        await until(lambda: agent.push.in_step and same(agent, world))
    assert world.metrics.counts["relay_resync_total", T] == 1
    assert ("relay_resync_total", U) not in world.metrics.counts
    assert [a for a in world.ingest.accepts if a[0] == U] == [(U, 1, 0)]


async def test_full_window_joins_edits_of_one_object(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = world.agent()
    agent.push.update(facts(T, 100))
    agent.push.complete([T])
    async with running(agent):
        await until(lambda: agent.push.in_step)
        world.ingest.accepts.clear()
        monkeypatch.setattr(type(agent.push), "_ack", lambda self, ack: None)  # a server that does not answer
        while agent.push._seq - agent.push._acked < FAST.window:
            seq = agent.push._seq
            agent.push.update([Fact(T, "ns", "n0", f'{{"seq":{seq}}}'.encode())])
            await until(lambda seq=seq: agent.push._seq > seq)
        for i in range(10_000):
            agent.push.update([Fact(T, "ns", f"n{i % 100}", f'{{"i":{i}}}'.encode())])
            if i % 500 == 0:
                await asyncio.sleep(0)
        assert agent.push._seq - agent.push._acked == FAST.window
        assert len(agent.push.facts.of(T).waiting) <= 100
        monkeypatch.undo()
        agent.push._acked = agent.push._seq
        agent.push._wake()
        await until(lambda: same(agent, world))
        assert len(world.ingest.accepts) <= FAST.window + 2


async def test_object_larger_than_a_message(world: World) -> None:
    agent = world.agent()
    agent.push.complete([T])
    big = b'{"a":"' + b"x" * (3 << 20) + b'"}'
    async with running(agent):
        agent.push.update([Fact(T, "ns", "small", b"{}"), Fact(T, "ns", "big", big), Fact(T, "ns", "tiny", b"{}")])
        await until(lambda: agent.push.in_step and same(agent, world))
        assert world.ingest.held[T]["ns", "big"] == (content_hash(big), big)


async def test_stored_follows_ack_and_joins(world: World) -> None:
    world.ingest.store_at_once = False
    agent = world.agent()
    agent.push.complete([T])
    heard: list[int] = []
    agent.push._on_stored = heard.append
    async with running(agent):
        await until(lambda: agent.push._welcome and agent.push.in_step)
        heard.clear()
        for i in range(3):
            agent.push.update([Fact(T, "ns", f"n{i}", b"{}")])
            await until(lambda i=i: len(world.ingest.waiting) == i + 1 and agent.push._acked == agent.push._seq)
        assert not agent.push.in_step
        assert heard == []
        for stored in world.ingest.waiting:
            stored()
        await until(lambda: agent.push.in_step)
        assert heard == [world.ingest.seq]


async def test_relist_lists_only_what_is_watched(world: World) -> None:
    agent = world.agent()
    agent.push.update(facts(T, 20))
    agent.push.complete([T])
    world.ingest.put("old/Kind", ("ns", "kept"), (b"h", b"{}"))
    async with running(agent):
        await until(lambda: world.ingest.lists == [T])
        world.ingest.put(T, ("ns", "n3"), None)  # the server is wrong about two objects
        world.ingest.put(T, ("ns", "ghost"), (b"h", b"{}"))
        world.ingest.sessions[0].control.relist([T, "old/Kind"])
        await until(lambda: world.ingest.lists == [T, T])
        await until(lambda: same(agent, world))
    assert agent.relists == [(T, "old/Kind")]
    assert ("ns", "kept") in world.ingest.held["old/Kind"], "an unwatched type is not an empty type"


async def test_only_accepted_types_are_sent(world: World) -> None:
    world.ingest.types = (T,)
    agent = world.agent()
    agent.push.update([*facts(T, 3), *facts(U, 3)])
    agent.push.complete([T, U])
    async with running(agent):
        await until(lambda: agent.push.in_step and len(world.ingest.held.get(T, {})) == 3)
        agent.push.update(facts(U, 3, "edited"))
        assert not agent.push._pending()
    assert U not in world.ingest.held
    assert [s.types for s in world.ingest.sessions] == [(T,)], "of others no listing ever ends"


async def test_refusal_by_ingest_and_hang_up(world: World) -> None:
    world.ingest.refuse = Refused(Reason.NOT_REGISTERED, "no KubernetesCluster is called east", 0.01)
    agent = world.agent()
    agent.push.complete([T])
    async with running(agent):
        await until(lambda: len(agent.losses) >= 2)
        assert agent.losses[0].reason is Reason.NOT_REGISTERED
        assert "no KubernetesCluster is called east" in agent.losses[0].message
        world.ingest.refuse = None
        await until(lambda: world.ingest.sessions and agent.push.in_step)
        agent.losses.clear()
        world.ingest.sessions[-1].control.close(Reason.DUPLICATE, "another agent took over")
        await until(lambda: agent.losses)
        assert agent.losses[0].reason is Reason.DUPLICATE
        await until(lambda: world.ingest.closed == 1)
