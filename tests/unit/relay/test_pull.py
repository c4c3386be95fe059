"""Desired state comes down: whole versions, by splices, whatever happens to the link."""

from __future__ import annotations

import asyncio
import random

import pytest

from agent.relay import pull
from agent.relay.pull import CertificateRefused
from fingerpost.relay.applied import ScopeApplied, ScopeException
from fingerpost.relay.interest import Interest
from fingerpost.relay.pieces import PieceList
from fingerpost.relay.reasons import Reason, Refused
from mgmt.relay import identity
from mgmt.relay.pull import PullSession
from tests.unit.relay.conftest import World
from tests.unit.relay.support import FAST, ROUTES, View, body_piece, numbered, on_want, running, until

GW = "shop/gw"
OTHER = ("routes", "https")


async def test_versions_come_whole_in_order_and_by_splices(world: World) -> None:
    pieces = numbered(500)
    world.publisher.publish(
        GW,
        {
            ROUTES: PieceList(pieces),
            ("cluster", "a"): PieceList(numbered(1)),
            ("listener", "l"): PieceList(numbered(2)),
        },
    )
    world.publisher.publish("", {("status", "x"): PieceList([body_piece("{}")])})
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
        first = next(changed for scope, _, changed in agent.versions if scope == GW)
        assert [t for t, _ in first] == ["cluster", "listener", "routes"], "applied in ascending order"
        before = agent.link.bytes_in
        for i in range(20):
            pieces[i * 3] = body_piece(f"edited {i}", "c1")
            world.publisher.edit(GW, ROUTES, pieces)
            await until(lambda: agent.has(world.publisher))
        numbers = [v for s, v, _ in agent.versions if s == GW]
        assert numbers == sorted(set(numbers))
        assert agent.desired.resyncs == 0
        assert len(agent.desired.pieces) == 500 + 1 + 1, "pieces of former lists are forgotten"
        world.publisher.publish(GW, {("cluster", "a"): None, ("cluster", "b"): PieceList(numbered(3, "b"))})
        await until(lambda: agent.has(world.publisher))
        assert agent.versions[-1][2] == {("cluster", "b"): PieceList(numbered(3, "b")), ("cluster", "a"): None}
    assert agent.link.bytes_in - before < 40_000


@pytest.mark.spec("M-11")
async def test_reconnect_moves_only_what_changed(world: World) -> None:
    many = {("cluster", f"c{i}"): PieceList([body_piece(f"cluster {i}", f"c{i}")]) for i in range(5_000)}
    world.publisher.publish(GW, many)
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
    before, versions = agent.link.bytes_in + agent.link.bytes_out, len(agent.versions)
    async with running(agent):
        await until(lambda: len(agent.versions) > versions)
        assert agent.versions[-1][2] == {}
    assert agent.link.bytes_in + agent.link.bytes_out - before < 2_000
    # Changes while away: first found in the log, then, with a forgotten history, by bucket digests.
    for forget in (False, True):
        world.publisher.publish(
            GW, {("cluster", "c7"): PieceList([body_piece(f"edited {forget}")]), ("cluster", f"c{9 + forget}"): None}
        )
        if forget:
            world.publisher.views[GW].log.clear()
        before = agent.link.bytes_in + agent.link.bytes_out
        async with running(agent):
            await until(lambda: agent.has(world.publisher))
        assert agent.link.bytes_in + agent.link.bytes_out - before < 16_000
    assert agent.desired.resyncs == 0


async def test_changes_during_a_resync_are_not_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {("cluster", f"c{i}"): PieceList([body_piece(f"cluster {i}")]) for i in range(300)}
    world.publisher.publish(GW, many)
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
    world.publisher.publish(GW, {("cluster", "c1"): None})
    world.publisher.views[GW].log.clear()
    original = PullSession._have

    def have(self: PullSession, message: object) -> None:
        for i in range(100, 200):
            world.publisher.publish(
                GW,
                {("cluster", f"c{i}"): PieceList([body_piece(f"late {i}")])} if i % 2 else {("cluster", f"c{i}"): None},
            )
        original(self, message)  # type: ignore[arg-type]  # handed through

    world.publisher.views[GW].log = type(world.publisher.views[GW].log)(maxlen=1000)
    monkeypatch.setattr(PullSession, "_have", have)
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
    assert agent.desired.resyncs == 0


@pytest.mark.spec("M-13")
async def test_lost_splice_resyncs_the_scope_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = numbered(50)
    world.publisher.publish(GW, {ROUTES: PieceList(pieces)})
    world.publisher.publish("shop/other", {ROUTES: PieceList(pieces)})
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
        dropped: list[object] = []
        original = agent.desired.delta
        monkeypatch.setattr(agent.desired, "delta", dropped.append)
        world.publisher.edit(GW, ROUTES, pieces[1:])
        await until(lambda: dropped)
        monkeypatch.setattr(agent.desired, "delta", original)
        asked: list[str] = []
        have = agent.desired.have
        monkeypatch.setattr(agent.desired, "have", lambda state: asked.append(state.scope) or have(state))
        world.publisher.edit(GW, ROUTES, pieces[2:])
        await until(lambda: agent.has(world.publisher))
    assert asked == [GW]
    assert agent.desired.resyncs == 1


@pytest.mark.spec("M-14")
async def test_slow_agent_costs_its_window_and_hurts_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [("cluster", f"c{i}") for i in range(100)]
    world.publisher.publish(GW, {k: PieceList(numbered(1)) for k in keys})
    slow, quick = world.agent(cluster="slow"), world.agent(cluster="quick")
    sessions: dict[str, PullSession] = {}
    original = PullSession.start

    async def start(self: PullSession) -> None:
        sessions[self._cluster] = self
        await original(self)

    monkeypatch.setattr(PullSession, "start", start)
    ack = PullSession._ack
    monkeypatch.setattr(PullSession, "_ack", lambda self, a: None if deaf and self._cluster == "slow" else ack(self, a))
    deaf: list[bool] = []
    async with running(slow, quick):
        await until(lambda: slow.has(world.publisher) and quick.has(world.publisher))
        deaf.append(True)
        for i in range(10_000):
            world.publisher.publish(GW, {keys[i % 100]: PieceList([body_piece(f"new {i}")])})
            if i % 100 == 0:
                await asyncio.sleep(0)
        await until(lambda: quick.has(world.publisher))
        session = sessions["slow"]
        assert session._seq - session._acked <= FAST.window
        assert len(session._current[1]) + len(session._answers) + len(session._small) <= 1
        deaf.clear()
        ack(session, type("Ack", (), {"seq": session._seq, "resync": []})())
        world.publisher.wake()
        await until(lambda: slow.has(world.publisher))


@pytest.mark.spec("M-13", "M-45")
async def test_what_is_to_be_kept_is_asked_for_when_the_message_with_it_was_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No digest covers it, and the next version says only that nothing has changed in it."""
    world.publisher.publish(GW, {ROUTES: PieceList(numbered(3)), OTHER: PieceList(numbered(1))})
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
        lost: list[bytes] = []
        monkeypatch.setattr(pull, "parse", lambda nothing, frame: lost.append(frame) or nothing)
        world.publisher.views[GW].keep = {"c1": "WaitingForCluster west"}
        world.publisher.publish(GW, {})
        await until(lambda: lost)
        monkeypatch.undo()
        del agent.versions[:]
        world.publisher.publish(GW, {OTHER: None})
        await until(lambda: agent.versions)
        assert agent.keep == {"c1": "WaitingForCluster west"}, "before anything is taken away"
        assert {key: new for _, _, changed in agent.versions for key, new in changed.items()} == {OTHER: None}
        assert agent.desired.resyncs == 1
        world.publisher.publish(GW, {ROUTES: PieceList(numbered(2))})
        await until(lambda: agent.has(world.publisher))
        assert agent.desired.resyncs == 1, "the doubt is over"


@pytest.mark.spec("M-17")
async def test_lower_config_version_is_refused(world: World) -> None:
    world.publisher.config_version = 40
    world.publisher.publish(GW, {ROUTES: PieceList(numbered(3))})
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
    world.publisher.config_version, world.publisher.raise_seq = 39, False
    world.publisher.views[GW] = View()
    world.publisher.publish(GW, {ROUTES: PieceList(numbered(1, "stale"))})
    assert world.publisher.config_version == 40
    async with running(agent):
        await until(lambda: agent.losses and agent.losses[0].reason)
        assert agent.losses[0].reason is Reason.STALE_CONFIG
        assert "40 is lower than 41" in agent.losses[0].message
        assert agent.lists(GW)[ROUTES] == PieceList(numbered(3))
        # The server hears of it, raises its sequence above (D4), and is believed again.
        world.publisher.raise_seq = True
        world.publisher.config_version = 41
        world.publisher.publish(GW, {ROUTES: PieceList(numbered(2, "newer"))})
        await until(lambda: agent.has(world.publisher))
    assert world.publisher.saw == 41


@pytest.mark.spec("M-20")
async def test_killed_connections_end_in_equal_state(world: World) -> None:
    rng, pieces = random.Random(5), numbered(400)
    world.publisher.publish(GW, {ROUTES: PieceList(pieces)})
    agent = world.agent()
    async with asyncio.TaskGroup() as group:
        for round_ in range(100):
            task = group.create_task(agent.link.run())
            for _ in range(rng.randrange(40)):
                match rng.randrange(3):
                    case 0:
                        at = rng.randrange(len(pieces))
                        pieces[at : at + rng.randrange(3)] = [body_piece(f"r{rng.random()}")]
                        world.publisher.edit(GW, ROUTES, pieces)
                    case 1:
                        world.publisher.publish(
                            GW,
                            {
                                ("cluster", f"c{rng.randrange(9)}"): PieceList(
                                    numbered(rng.randrange(1, 5), str(round_))
                                )
                            },
                        )
                    case _:
                        world.publisher.publish(GW, {("cluster", f"c{rng.randrange(9)}"): None})
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
            await asyncio.sleep(rng.random() * 0.01)
            task.cancel()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
    replayed: dict = {}
    for _, _, changed in agent.versions:
        for key, value in changed.items():
            replayed.pop(key, None)
            if value is not None:
                replayed[key] = value
    assert replayed == world.publisher.views[GW].resources, "what was handed on adds up to what is wanted"
    used = {p.hash for pieces in agent.lists(GW).values() for p in pieces}
    assert len(agent.desired.pieces) == len(used)


@pytest.mark.spec("M-33")
@pytest.mark.parametrize(("header", "said"), [("west", "'west'"), (None, "nothing")])
async def test_name_that_is_not_the_authenticated_one(
    world: World, header: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = world.agent(cluster="east")
    original = identity.check
    claimed = [(identity.CLUSTER_HEADER, header)] if header else []
    monkeypatch.setattr(identity, "check", lambda peer, _metadata, cluster: original(peer, claimed, cluster))
    world.publisher.publish(GW, {ROUTES: PieceList(numbered(3))})
    async with running(agent):
        await until(lambda: agent.losses)
        assert agent.losses[0].reason is Reason.UNAUTHENTICATED
        assert said in agent.losses[0].message
    assert agent.versions == []
    assert world.metrics.counts["relay_auth_failures_total", "identity"] >= 1
    with pytest.raises(Refused, match="loopback only"):
        original("ipv4:192.0.2.7:999", [(identity.CLUSTER_HEADER, "east")], "east")
    original("ipv6:%5B::1%5D:999", [(identity.CLUSTER_HEADER, "east")], "east")


async def test_piece_of_3_mib_and_many_hashes(world: World) -> None:
    world.publisher.publish(GW, {ROUTES: PieceList([body_piece("x" * (3 << 20)), *numbered(40_000, "r")])})
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
        unknown = PieceList([*numbered(40_000, "other")])
        world.publisher.views[GW].resources[ROUTES].lineage = ()
        world.publisher.publish(GW, {ROUTES: unknown})  # no steps from the former list: hashes first, then Want
        await until(lambda: agent.has(world.publisher))
    assert agent.desired.resyncs == 0
    assert len(agent.desired.pieces) == 40_000


async def test_want_for_forgotten_pieces_ends_in_a_resync(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.publisher.publish(GW, {ROUTES: PieceList(numbered(10))})
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
        newest = {ROUTES: PieceList(numbered(5, "newest"))}
        on_want(monkeypatch, lambda: world.publisher.publish(GW, newest))
        world.publisher.publish(GW, {ROUTES: PieceList(numbered(7, "lost"))})
        await until(lambda: agent.has(world.publisher))
    assert agent.desired.resyncs == 1
    assert agent.lists(GW)[ROUTES] == PieceList(numbered(5, "newest"))


async def test_keep_confirmed_interest_and_gone(world: World) -> None:
    world.publisher.publish(GW, {ROUTES: PieceList(numbered(3))})
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
        view = world.publisher.views[GW]
        view.keep, view.confirmed = {"c1": "WaitingForCluster west"}, False
        world.publisher.publish(GW, {})
        await until(lambda: agent.keep == {"c1": "WaitingForCluster west"})
        assert agent.confirmed[-1] is False
        view.keep, view.confirmed = {}, True
        world.publisher.publish(GW, {})
        await until(lambda: agent.keep == {} and agent.confirmed[-1])
        world.publisher.wanted = Interest(secrets=("shop/tls",), label_keys=("version",))
        world.publisher.wake()
        await until(lambda: agent.interests[-1:] == [world.publisher.wanted])
        world.publisher.wanted = Interest(services=("shop/cart",), partial=True)  # more may be needed than is known
        world.publisher.wake()
        both = Interest(secrets=("shop/tls",), label_keys=("version",), services=("shop/cart",))
        await until(lambda: agent.interests[-1:] == [both])
        world.publisher.wanted = Interest(services=("shop/cart",))
        world.publisher.wake()
        await until(lambda: agent.interests[-1:] == [world.publisher.wanted])
        world.publisher.cold = True
        del world.publisher.views[GW]  # not there yet, perhaps
        world.publisher.wanted = Interest(services=("shop/other",))
        world.publisher.wake()
        await until(lambda: agent.interests[-1:] == [world.publisher.wanted])
        assert agent.desired.scopes
        world.publisher.cold = False  # not there at all: said, but not confirmed
        world.publisher.wake()
        await until(lambda: not agent.desired.scopes)
        assert agent.versions[-1][2] == {ROUTES: None}
        assert agent.confirmed[-1] is False
        world.publisher.publish(GW, {ROUTES: PieceList(numbered(2))})
        await until(lambda: agent.has(world.publisher))
        view = world.publisher.views[GW]
        view.gone = True
        world.publisher.publish(GW, {ROUTES: None})
        await until(lambda: not agent.desired.scopes)
        assert agent.confirmed[-1] is True
        assert len(agent.desired.pieces) == 0


async def test_reports_and_certificates(world: World) -> None:
    agent = world.agent()
    report = ScopeApplied(
        scope=GW,
        watermark=7,
        proxies=2,
        lagging=("p1",),
        exceptions=(ScopeException(contribution="c", code="Refused", message="no"),),
    )
    agent.pull.report(report)
    async with running(agent):
        async with asyncio.timeout(10):
            assert await agent.pull.certificate(GW, b"csr") == (b"chain of csr", b"roots")
            with pytest.raises(CertificateRefused, match="not for a gateway"):
                await agent.pull.certificate(GW, b"bad")
        await until(lambda: world.publisher.reports == [report])
        agent.pull.report(report)
        assert agent.pull.produce() is None
    async with running(agent):
        await until(lambda: world.publisher.reports == [report, report])  # a new server may know nothing


async def test_restored_state_needs_no_objects(world: World) -> None:
    world.publisher.publish(GW, {ROUTES: PieceList(numbered(2_000)), ("cluster", "a"): PieceList(numbered(1))})
    agent = world.agent()
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
    started = world.agent()
    started.desired.restore(GW, 1, agent.lists(GW), {})
    async with running(started):
        await until(lambda: started.versions)
        assert started.versions == [(GW, 1, {})]
        assert started.has(world.publisher)
    assert started.link.bytes_in < 1_000


@pytest.mark.spec("M-17")
async def test_a_scope_of_another_replica_that_has_changed_later_there_is_made_equal(world: World) -> None:
    """This replica has not changed the scope for long, but it has reached the version that the agent was told."""
    world.publisher.publish(GW, {ROUTES: PieceList(numbered(3))})
    agent = world.agent()
    agent.desired.restore(GW, 50, {ROUTES: PieceList(numbered(2, "later"))}, {})
    world.publisher.config_version = 60
    async with running(agent):
        await until(lambda: agent.has(world.publisher))
        assert agent.losses == []
        world.publisher.publish(GW, {ROUTES: PieceList(numbered(4))})
        await until(lambda: agent.has(world.publisher))
        assert [version for _, version, _ in agent.versions] == [50, 61]
