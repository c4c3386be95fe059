"""One replica: changes become turns, are stored, and agents hear of it; sessions and states around them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ingest_support import SERVICE, TABLE, Agent, Folder, until

from fingerpost.objects import ObjectKey, content_hash
from fingerpost.relay.digest import SetDigest, object_key
from fingerpost.relay.reasons import Reason, Refused
from mgmt.ingest.values import State
from mgmt.relay.ports import Upsert

pytestmark = pytest.mark.redis


async def test_a_change_is_in_memory_at_once_and_answered_when_it_is_in_redis(start: Any) -> None:
    a = await start("a/1")
    east = (await Agent("east").connect(a)).warm()
    east.push({"www": 1})
    assert a.objects() == {"east/shop/www": "1"}
    assert east.stored == []
    await until(lambda: east.stored)
    loaded = await a.store.load()
    assert loaded.inputs[ObjectKey(TABLE, "east", "shop", "www")].body == b"1"
    assert east.stored[0] <= loaded.seq
    assert a.recorder.published[-1] >= east.stored[0]
    change = next(c for turn in a.recorder.turns for c in turn if c.key.name == "www")
    assert change.seen_unix_nanos == 5


async def test_answers_come_once_each_and_in_order_also_for_what_changes_nothing(start: Any) -> None:
    a = await start("a/1")
    east = (await Agent("east").connect(a)).warm()
    for value in (1, 2, 2):
        east.push({"www": value})
    assert await east.push_stored({"www": 2}) == east.stored[-1]
    assert east.stored == sorted(east.stored)
    assert len(east.stored) == 4
    seq = a.ingest.seq
    await east.push_stored({"www": 2})
    assert a.ingest.seq == seq, "an equal object is no change"


async def test_what_arrives_during_a_turn_is_one_turn_with_the_newest_of_each_key(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await start("a/1")
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 0})
    gate, entered, order = asyncio.Event(), asyncio.Event(), []
    write = a.store.write

    async def slow(*args: Any) -> Any:
        order.append("write began")
        entered.set()
        await gate.wait()
        return await write(*args)

    monkeypatch.setattr(a.store, "write", slow)
    a.recorder.on_translate = lambda: order.append("translate")
    a.recorder.turns.clear()
    east.push({"first": 1})
    await entered.wait()
    await until(lambda: order[:2] == ["write began", "translate"])
    for i in range(1, 51):
        east.push({"www": i, f"t{i % 3}": i})
    gate.set()
    await until(lambda: len(east.stored) == 52)
    mine = [[c.key.name for c in turn if c.key.type == TABLE] for turn in a.recorder.turns]
    assert mine == [["first"], ["www", "t1", "t2", "t0"]]
    assert a.recorder.objects() == a.objects()


async def test_digests_and_keys_are_those_of_the_agents_objects(start: Any) -> None:
    a = await start("a/1")
    east = (await Agent("east").connect(a)).warm()
    await east.push_stored({"www": 1, "api": 2, "old": 3})
    await east.push_stored({"old": None})
    expected = SetDigest()
    for name, body in (("www", b"1"), ("api", b"2")):
        expected.add(object_key("shop", name), content_hash(body))
    found = a.ingest.digests("east")
    assert set(found) == {TABLE}, "no bookkeeping of ours, and no empty types"
    assert (found[TABLE].total, found[TABLE].count) == (expected.total, 2)
    assert a.ingest.keys("east", TABLE) == {("shop", "www"): content_hash(b"1"), ("shop", "api"): content_hash(b"2")}


@pytest.mark.spec("M-6")
async def test_a_secret_is_dropped_and_nowhere_to_be_found(start: Any, folder: Folder) -> None:
    a = await start("a/1")
    east = (await Agent("east", types=(TABLE, "core/Secret")).connect(a)).warm()
    await east.push_stored({"cert": "canary-51c0"}, type_="core/Secret")
    folder.put("cert", b'"canary-51c0"', type_="core/Secret")
    folder.put("www", b"1")
    await until(lambda: "mgmt/shop/www" in a.recorder.objects())
    assert "canary" not in str(a.objects()) + str(a.recorder.turns)
    await a.store._client.run("BGREWRITEAOF")
    assert b"canary" not in b"".join(s.body for s in (await a.store.load()).inputs.values())


async def test_the_management_agent_brings_only_what_the_server_does_not_read(start: Any, folder: Folder) -> None:
    a = await start("a/1")
    folder.register("mgmt")
    agent = await Agent("mgmt", types=(TABLE, SERVICE)).connect(a)
    assert SERVICE in (a.ingest.accepted_types("mgmt") or ())
    assert a.ingest.accepted_types("east") is None
    folder.put("www", b"1")
    await agent.push_stored({"www": "foreign"})
    await agent.push_stored({"svc": "s"}, type_=SERVICE)
    await until(lambda: a.objects() == {"mgmt/shop/www": "1", "mgmt/shop/svc": '"s"'})
    assert set(a.ingest.digests("mgmt")) == {SERVICE}
    a.ingest.listed("mgmt", agent.fence, SERVICE)
    await until(lambda: a.state("mgmt") == "Warm")


@pytest.mark.spec("M-22")
async def test_an_agent_of_an_unknown_name_waits_pending_and_goes_on_when_it_is_registered(
    start: Any, folder: Folder
) -> None:
    a = await start("a/1")
    agent = Agent("north")
    async with asyncio.TaskGroup() as group:
        connecting = group.create_task(agent.connect(a), name="connect")
        await until(lambda: a.state("north") == "Pending")
        assert not connecting.done()
        assert a.ingest.digests("north") == {}
        folder.register("north")
    await until(lambda: a.state("north") == "Syncing")
    agent.warm()
    await until(lambda: a.state("north") == "Warm")


@pytest.mark.spec("M-27")
async def test_who_begins_to_push_is_told_of_although_he_reads_already(start: Any) -> None:
    a = await start("a/1")
    knocked: list[set[str]] = []
    a.ingest.sessions.knocked = lambda: knocked.append(set(a.ingest.sessions.knocking))
    agent = Agent("north")
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(a.ingest.admit("north", "", "peer", lambda *_: None), name="read")
        await until(lambda: a.state("north") == "Pending")
        assert knocked == []
        pushing = group.create_task(agent.connect(a), name="push")
        await until(lambda: knocked == [{"north"}])
        pushing.cancel()
        reading.cancel()


async def test_a_pending_agent_that_gives_up_is_forgotten(start: Any) -> None:
    a = await start("a/1")
    async with asyncio.TaskGroup() as group:
        connecting = group.create_task(Agent("north").connect(a), name="connect")
        await until(lambda: a.state("north") == "Pending")
        connecting.cancel()
        await until(lambda: a.state("north") == "")


def _asks(folder: Folder, approval: str, uid: str = "uid-north") -> None:
    said = {"relay.gloo.solo.io/approval": approval, "relay.gloo.solo.io/cluster-uid": uid}
    folder.register("north", annotations=said)


@pytest.mark.spec("M-27")
async def test_who_is_not_accepted_waits_and_who_is_rejected_is_sent_away(start: Any, folder: Folder) -> None:
    a = await start("a/1")
    async with asyncio.TaskGroup() as group:
        connecting = group.create_task(Agent("north").connect(a), name="connect")
        await until(lambda: "north" in a.ingest.sessions.knocking)
        _asks(folder, "pending")
        await until(lambda: "north" in a.ingest.sessions.named)
        assert (connecting.done(), a.state("north"), a.ingest.digests("north")) == (False, "Pending", {})
        assert a.ingest.sessions.barred("north", False) == ""
        assert "not accepted" in a.ingest.sessions.barred("north", True)
        with pytest.raises(Refused) as caught:
            await Agent("north", uid="another").connect(a)
        assert caught.value.reason is Reason.DUPLICATE
        _asks(folder, "accepted")
    agent = connecting.result().warm()
    await agent.push_stored({"www": 1})
    assert (a.state("north"), a.ingest.sessions.barred("north", True)) == ("Warm", "")
    _asks(folder, "rejected")
    await until(lambda: agent.goodbye)
    assert agent.goodbye == [(Reason.NOT_REGISTERED, "KubernetesCluster north is accepted no longer")]
    await until(lambda: a.objects() == {})
    for renewal in (False, True):
        assert "was rejected" in a.ingest.sessions.barred("north", renewal)
    with pytest.raises(Refused, match="was rejected"):
        await Agent("north").connect(a)


async def test_a_waiting_agent_that_is_rejected_hears_it(start: Any, folder: Folder) -> None:
    a = await start("a/1")
    _asks(folder, "pending")
    await until(lambda: "north" in a.ingest.sessions.named)

    async def refused() -> None:
        with pytest.raises(Refused, match="was rejected"):
            await Agent("north").connect(a)

    async with asyncio.TaskGroup() as group:
        group.create_task(refused(), name="connect")
        await until(lambda: "north" in a.ingest.sessions.knocking)
        _asks(folder, "rejected")
    assert a.ingest.sessions.knocking == {}


async def test_deregistering_ends_the_session_and_deletes_what_was_stored(start: Any, folder: Folder) -> None:
    a, b = await start("a/1"), await start("b/1")
    east = (await Agent("east").connect(a)).warm()
    west = (await Agent("west").connect(b)).warm()
    await east.push_stored({"www": 1})
    await west.push_stored({"cart": 1})
    await until(lambda: a.objects() == b.objects() == {"east/shop/www": "1", "west/shop/cart": "1"})
    folder.deregister("east")
    await until(lambda: a.objects() == b.objects() == {"west/shop/cart": "1"})
    assert [reason for reason, _ in east.goodbye] == [Reason.NOT_REGISTERED]
    east.push({"late": 1})
    await west.push_stored({"cart": 2})
    assert {k.cluster for k in (await a.store.load()).inputs} == {"west", "mgmt"}
    assert a.recorder.objects() == b.recorder.objects() == {"west/shop/cart": "2"}
    folder.register("east")
    await until(lambda: a.state("east") == "Registered")
    await (await Agent("east").connect(b)).push_stored({"again": 1})
    assert b.objects() == {"east/shop/again": "1", "west/shop/cart": "2"}


@pytest.mark.spec("M-24")
async def test_another_cluster_under_the_same_name_is_refused_and_the_first_not_disturbed(
    start: Any, folder: Folder
) -> None:
    a = await start("a/1")
    east = (await Agent("east", uid="first").connect(a)).warm()
    await east.push_stored({"www": 1})
    with pytest.raises(Refused) as caught:
        await Agent("east", uid="second").connect(a)
    assert caught.value.reason == Reason.DUPLICATE
    assert "first" in caught.value.message
    assert "second" in caught.value.message
    assert east.goodbye == []
    await east.push_stored({"www": 2})
    folder.register("east", annotations={"relay.gloo.solo.io/cluster-uid": "second"})
    await until(lambda: a.ingest.sessions.registered["east"].uid == "second")
    await Agent("east", uid="second").connect(a)


async def test_a_newer_session_of_the_same_cluster_replaces_the_older(start: Any) -> None:
    a = await start("a/1")
    old = (await Agent("east").connect(a)).warm()
    new = (await Agent("east").connect(a)).warm()
    assert [reason for reason, _ in old.goodbye] == [Reason.DUPLICATE]
    old.push({"late": 1})
    await old.leave()
    await new.push_stored({"www": 1})
    assert a.objects() == {"east/shop/www": "1"}
    assert a.state("east") == "Warm"


@pytest.mark.spec("M-48")
async def test_states_from_registered_to_cold(start: Any, folder: Folder) -> None:
    a = await start("a/1")
    await until(lambda: a.state("east") == "Registered")
    assert a.ingest.states.clusters["east"].ready, "a cluster that never had an agent delays nothing"
    east = await Agent("east", types=(TABLE, SERVICE)).connect(a)
    await until(lambda: a.state("east") == "Syncing")
    assert not a.ingest.states.clusters["east"].ready
    a.ingest.listed("east", east.fence, TABLE)
    await east.push_stored({"www": 1})
    assert a.state("east") == "Syncing"
    east.warm()
    await until(lambda: a.state("east") == "Warm")
    await east.leave()
    await until(lambda: a.state("east") == "Cached")
    assert a.ingest.states.clusters["east"].ready
    a.ever.add("west")
    a.ingest._touch()
    await until(lambda: a.state("west") == "Cold")
    assert not a.ingest.states.clusters["west"].ready
    folder.register("west", skip_warming=True)
    await until(lambda: a.ingest.states.clusters["west"].ready)
    assert a.state("west") == "Cold"


async def test_a_first_listing_that_broke_off_is_no_snapshot(start: Any) -> None:
    a = await start("a/1")
    east = await Agent("east").connect(a)
    await east.push_stored({"www": 1})
    await east.leave()
    a.ever.add("east")
    a.ingest._touch()
    await until(lambda: a.state("east") == "Cold")


async def test_the_seq_rises_above_what_an_agent_has_seen(start: Any) -> None:
    a, b = await start("a/1"), await start("b/1")
    east = (await Agent("east").connect(a)).warm()
    a.ingest.seen(9000)
    await until(lambda: a.recorder.published[-1] > 9000)
    await until(lambda: b.ingest.seq == a.ingest.seq)
    seq = await east.push_stored({"www": 1})
    assert seq > 9000
    a.ingest.seen(500)
    assert await east.push_stored({"www": 2}) == seq + 1


@pytest.mark.spec("M-13")
async def test_what_others_write_while_the_seq_rises_is_not_missed(start: Any) -> None:
    a, b = await start("a/1"), await start("b/1")
    east = (await Agent("east").connect(b)).warm()
    raise_seq = a.store.raise_seq

    async def beside_it(at_least: int) -> int:
        await east.push_stored({"www": 1})
        return await raise_seq(at_least)

    a.store.raise_seq = beside_it
    a.ingest.seen(9000)
    await until(lambda: a.recorder.published[-1] > 9000)
    assert a.objects() == {"east/shop/www": "1"}, "what is published at that number holds it"
    await until(lambda: b.ingest.seq == a.ingest.seq)


async def test_pins_are_inputs_that_every_replica_gets(start: Any) -> None:
    a, b = await start("a/1"), await start("b/1")
    a.ingest.pin({"hold/east/www": b'{"reason":"warm-up"}', "x": b"{}"})
    await until(lambda: b.ingest.pins() == {"hold/east/www": b'{"reason":"warm-up"}', "x": b"{}"})
    b.ingest.pin({"x": None})
    await until(lambda: set(a.ingest.pins()) == {"hold/east/www"})


async def test_upserts_with_an_unknown_fence_count_for_nothing(start: Any) -> None:
    a = await start("a/1")
    east = (await Agent("east").connect(a)).warm()
    await east.leave()
    a.ingest.accept("east", east.fence, TABLE, [Upsert("n", "x", content_hash(b"1"), b"1")], [], 0, "", lambda _: None)
    assert a.objects() == {}


async def test_states_name_the_management_folder_too(start: Any) -> None:
    a = await start("a/1")
    await until(lambda: a.ingest.states.management.state == State.WARM)
    assert a.ingest.states.management.ready
    assert a.ingest.owns_management
