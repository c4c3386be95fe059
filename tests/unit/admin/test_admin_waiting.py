"""`/wait` answers when a change is everywhere, at once when it never will be, and else says who is missing and why."""

from __future__ import annotations

import asyncio
from typing import Any

from admin_world import NOW, SECOND, TABLE, WWW, World, warm

from fingerpost.api.admin.kubernetes_cluster import Approval
from fingerpost.cluster.protocol import Finding
from fingerpost.objects import ObjectKey, canonical
from fingerpost.relay.applied import ScopeException
from mgmt.ingest.values import ClusterState, ClusterStates, State

QUERY = {"kind": "routetable", "namespace": "shop", "name": "www", "timeout": "20s"}


async def listening(world: World) -> None:
    """Until the question has been read and its answer is being waited for."""
    async with asyncio.timeout(5):
        while not world.bell.awaited:  # noqa: ASYNC110  (each round lets the server go one step)
            await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_an_answer_comes_with_the_last_gateway() -> None:
    world = World()
    world.answer("east")
    world.answer("west")
    world.edit()
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(world.get("/wait", **QUERY))
        await listening(world)
        world.answer("east")
        early = group.create_task(world.get("/wait", **(QUERY | {"timeout": "0s"})))
        assert (await early)["outcome"] == "waiting"
        assert not asked.done()
        world.answer("west")
        async with asyncio.timeout(10):
            found = await asked
    assert (found["outcome"], found["arrival"]["arrived"], found["arrival"]["total"]) == ("done", 2, 2)


async def test_a_change_without_effect_on_a_gateway_needs_no_new_answer_from_it() -> None:
    world = World()
    world.answer("east")
    world.answer("west")
    obj = world.body(WWW)
    obj["metadata"]["labels"] = {"team": "shop"}
    world.put({WWW: obj})
    assert world.publisher.scopes("east")["gw/ingress"].version < world.fed.seq, "the case needs an edit without effect"
    assert (await world.get("/wait", **QUERY))["outcome"] == "done"
    world.answer("west", watermark=0)
    late = await world.get("/wait", **(QUERY | {"timeout": "0s"}))
    assert [m["gateway"] for m in late["arrival"]["missing"]] == ["west/gw/ingress"]


async def test_a_timeout_names_the_proxy_that_lags_and_since_when() -> None:
    world = World()
    world.edit()
    world.answer("east")
    world.answer("west", watermark=1, lagging=("eu-3",), lagging_since_unix_nanos=NOW - 40 * SECOND)
    found = await world.get("/wait", **(QUERY | {"timeout": "20ms"}))
    assert found["outcome"] == "waiting"
    (missing,) = found["arrival"]["missing"]
    assert missing["gateway"] == "west/gw/ingress"
    assert "eu-3 has not acknowledged" in missing["reason"]
    assert missing["since"] == "2027-01-15T07:59:20.000Z"


async def test_a_refusal_counts_as_missing_with_the_proxys_words() -> None:
    world = World()
    world.edit()
    world.answer("west")
    refusal = ScopeException(contribution=WWW.contribution, code="Refused", message="bad regex", since_unix_nanos=NOW)
    world.answer("east", refusal)
    found = await world.get("/wait", **(QUERY | {"timeout": "0s"}))
    assert [m["reason"] for m in found["arrival"]["missing"]] == ["Refused: bad regex"]


async def test_what_can_never_hold_is_said_at_once() -> None:
    world = World()
    obj = world.body(WWW)
    obj["spec"]["virtualGateways"] = []
    world.put({WWW: obj})
    async with asyncio.timeout(10):
        unbound = await world.get("/wait", **QUERY)
        workspace = await world.get("/wait", kind="workspace", namespace="gloo-mesh", name="all", timeout="20s")
        accepted = await world.get("/wait", **(QUERY | {"for": "accepted"}))
        obj["spec"]["http"] = "wrong"
        world.put({WWW: obj})
        invalid = await world.get("/wait", **QUERY)
    assert unbound["outcome"] == "impossible"
    assert "no gateway serves RouteTable shop/www" in unbound["reason"]
    assert workspace["outcome"] == "impossible"
    assert workspace["reason"] == "gateways never serve the kind Workspace; wait --for accepted instead"
    assert accepted["outcome"] == "done"
    assert (invalid["outcome"], "INVALID" in invalid["reason"]) == ("impossible", True)


async def test_an_edit_that_cannot_be_read_is_not_taken_for_there() -> None:
    world = World()
    world.answer("east")
    world.answer("west")
    assert (await world.get("/wait", **QUERY))["outcome"] == "done"
    said = "file www.yaml, line 71: the flow sequence has no end"
    world.fed.findings = (Finding("www.yaml", "NotYaml", said, frozenset({WWW})),)
    for condition in ("applied", "accepted"):
        found = await world.get("/wait", **(QUERY | {"for": condition}))
        assert (found["outcome"], said in found["reason"]) == ("impossible", True)
    query = {"kind": "routetable", "namespace": "shop", "name": "www"}
    (shown,) = (await world.get("/objects", **query))["items"]
    state = shown["status"]["common"]["State"]
    warning = f"an older version is in force, since what is written cannot be used: {said}"
    assert (state["approval"], state["message"]) == ("WARNING", warning)
    (shown,) = (await world.get("/objects", **query, detail="true"))["items"]
    assert shown["status"]["problems"] == [{"severity": "WARNING", "code": "NotYaml", "path": "", "message": warning}]
    twice = "file www.yaml, document 2 (line 9): RouteTable shop/www is in this file twice; the first stays in force"
    world.fed.findings = (Finding("www.yaml", "DuplicateObject", twice, frozenset({WWW})),)
    (shown,) = (await world.get("/objects", **query))["items"]
    assert shown["status"]["common"]["State"]["message"] == twice
    world.fed.findings = (Finding("new.yaml", "NotYaml", "file new.yaml, line 1: it is wrong"),)
    assert (await world.get("/wait", **QUERY))["outcome"] == "done", "another file"


async def test_an_object_that_appears_later_is_waited_for() -> None:
    world = World()
    late = ObjectKey(TABLE, "mgmt", "shop", "late")
    query: dict[str, Any] = QUERY | {"name": "late", "for": "accepted"}
    assert "there is no RouteTable shop/late" in (await world.get("/wait", **(query | {"timeout": "0s"})))["reason"]
    obj = world.body(WWW)
    obj["metadata"] = {"name": "late", "namespace": "shop", "generation": 1}
    obj["spec"]["hosts"] = ["late.example"]
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(world.get("/wait", **query))
        await listening(world)
        world.put({late: obj})
        async with asyncio.timeout(10):
            assert (await asked)["outcome"] == "done"


async def test_an_untranslated_generation_is_not_taken_for_the_old_one() -> None:
    world = World()
    world.answer("east")
    world.answer("west")
    newer = world.body(WWW)
    newer["metadata"]["generation"] = 7
    stored = world.fed.inputs.get(WWW)
    assert stored is not None
    world.fed.inputs.put(WWW, stored._replace(hash=b"x" * 32, body=canonical(newer)))
    found = await world.get("/wait", **(QUERY | {"timeout": "0s"}))
    assert found["outcome"] == "waiting"
    assert "generation 7" in found["reason"]


async def test_an_object_in_several_clusters_asks_for_one() -> None:
    world = World()
    obj = world.body(WWW)
    world.put({WWW._replace(cluster="east"): obj})
    several = await world.get("/wait", **QUERY)
    assert (several["outcome"], "add --cluster" in several["reason"]) == ("impossible", True)
    found = await world.get("/wait", **(QUERY | {"cluster": "mgmt", "for": "accepted"}))
    assert found["cluster"] == "mgmt"


async def test_a_cluster_is_accepted_when_its_agent_is_there() -> None:
    """That nothing is wrong with the object says nothing of its agent."""
    world = World()
    query: dict[str, Any] = {"kind": "kubernetescluster", "name": "east", "for": "accepted", "timeout": "20s"}
    gone = ClusterState(state=State.CACHED, ready=True, since=NOW - 60 * SECOND)
    world.fed.states = ClusterStates(clusters={"east": gone})
    early = await world.get("/wait", **(query | {"timeout": "0s"}))
    assert early["outcome"] == "waiting"
    assert "is FAILED: no agent since 2027-01-15T07:59:00Z" in early["reason"]
    (shown,) = (await world.get("/objects", kind="kubernetescluster", name="east"))["items"]
    assert shown["status"]["common"]["State"]["approval"] == "FAILED"
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(world.get("/wait", **query))
        await listening(world)
        world.fed.states = ClusterStates(clusters={"east": warm()})
        world.bell.ring()
        async with asyncio.timeout(10):
            assert (await asked)["outcome"] == "done"


async def test_a_cluster_that_was_rejected_is_not_waited_for() -> None:
    world = World()
    sent_away = ClusterState(state=State.PENDING, ready=False, approval=Approval.REJECTED)
    world.fed.states = ClusterStates(clusters={"east": sent_away})
    found = await world.get("/wait", kind="kubernetescluster", name="east", **{"for": "accepted", "timeout": "20s"})
    assert (found["outcome"], "FAILED: rejected" in found["reason"]) == ("impossible", True)


async def test_a_cluster_just_lost_is_not_accepted() -> None:
    """For a moment its status still says so."""
    world = World()
    world.fed.states = ClusterStates(clusters={"east": ClusterState(state=State.CACHED, ready=True, since=NOW)})
    found = await world.get("/wait", kind="kubernetescluster", name="east", **{"for": "accepted", "timeout": "0s"})
    assert (found["outcome"], "the agent disconnected at" in found["reason"]) == ("waiting", True)
