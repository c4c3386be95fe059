"""Warm-up (relay.md §7): a missing input is never read as an empty one, and holds only what depends on it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from envoy.config.cluster.v3 import cluster_pb2

from agent.app import Agent
from fingerpost.relay.pieces import join
from fingerpost.relay.v1 import endpoints_pb2
from mgmt.app import Server
from mgmt.ingest.values import State
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, effective, running_fleet, state_of
from tests.fleet.fleet_network import steadily, until

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]
_HOLD = 1.0  # seconds in which a change would long have come
_HELD = "networking.gloo.solo.io/RouteTable/mgmt/shop/www"


def _write_world(fleet: Fleet) -> None:
    """`shop` is everywhere, `solo` only in clusters one and two; both put tables on the gateways of `edge`."""
    near = ("mgmt", "one", "two")
    fleet.write(
        "mgmt",
        "fleet.yaml",
        *(m.registered(c) for c in (*fleet.clusters, "never")),
        m.workspace("edge", near, ["gw"]),
        m.workspace("shop", ["*"], ["shop"]),
        m.workspace("solo", near, ["solo"]),
        m.settings("gw", imports=["shop", "solo"]),
        m.settings("shop", exports=["edge"]),
        m.settings("solo", exports=["edge"]),
        m.virtual_gateway(),
        m.virtual_destination("cart"),
    )
    fleet.write_www("/cart")
    _write_solo(fleet, "first")
    for cluster in fleet.clusters:
        fleet.write_cluster(cluster)
    policy = m.gloo(
        "OutlierDetectionPolicy", "shop", "eject", {"config": {"consecutiveErrors": 7}}, "resilience.policy"
    )
    policy["spec"]["applyToDestinations"] = [{"kind": "VIRTUAL_DESTINATION"}]
    fleet.write("three", "own.yaml", m.table("far", [m.says("/far", "kept in three")]), policy)


def _write_solo(fleet: Fleet, text: str) -> None:
    fleet.write("mgmt", "solo.yaml", m.table("solo", [m.says("/who", text)], namespace="solo"))


def _carts(agent: Agent) -> dict[str, set[str]]:
    """Envoy cluster -> the clusters behind it that have ready pods, or are the agent's own."""
    state = agent.gateways_.states()[GATEWAY]
    found = [
        endpoints_pb2.EndpointsTemplate.FromString(join(p)) for k, p in state.effective.items() if k[0] == "endpoints"
    ]
    return {t.cluster_name: {p.cluster for p in t.parts if p.remote or p.cluster == agent.cluster} for t in found}


def _ejects_at(agent: Agent) -> set[int]:
    state = agent.gateways_.states()[GATEWAY]
    found = [cluster_pb2.Cluster.FromString(join(p)) for k, p in state.effective.items() if k[0] == "cluster"]
    return {c.outlier_detection.consecutive_5xx.value for c in found if c.HasField("outlier_detection")}


class Plane:
    """The agents of clusters one and two, a server that has forgotten everything, and no agent of cluster three."""

    def __init__(self, fleet: Fleet, server: Server, agents: dict[str, Agent]) -> None:
        self.fleet, self.server, self.agents = fleet, server, agents

    def reaches(self, *clusters: str) -> bool:
        return all(set().union(*_carts(a).values()) == set(clusters) for a in self.agents.values())

    @property
    def said(self) -> str:
        states = {name: str(found.state) for name, found in self.server.ingest.states.clusters.items()}
        keeps = {c: dict(a.desired.scopes[GATEWAY].keep) for c, a in self.agents.items()}
        return f"{states}, kept {keeps}, reached {[_carts(a) for a in self.agents.values()]}"

    def held(self) -> dict[str, str]:
        """What cluster one's gateway keeps, and why."""
        exceptions = self.server.publisher.arrivals.gateways["one", GATEWAY].exceptions
        return {e.contribution: e.message for e in exceptions}


@asynccontextmanager
async def _amnesia(root: Path, **settings: Any) -> AsyncIterator[Plane]:
    """A server without memory and without cluster three; `settings` are those of its second life."""
    async with running_fleet(root, "one", "two", "three") as fleet, AsyncExitStack() as stack:
        _write_world(fleet)
        await fleet.backend("one")
        agents: dict[str, Agent] = {}
        async with fleet.server(relay_address="127.0.0.1:0") as server:
            port = server.relay.port
            for cluster in ("one", "two"):
                agents[cluster] = await stack.enter_async_context(fleet.agent(cluster, port))
            plane = Plane(fleet, server, agents)
            async with fleet.agent("three", port) as three:
                fleet.start_envoy(agents["one"])
                await fleet.answers("one", "/cart", "one 0")
                await fleet.answers("one", "/far", "kept in three", host="far.example")
                await fleet.answers("one", "/who", "first", host="solo.example")
                await until(lambda: plane.reaches("one", "two", "three"), why="cart is everywhere")
                await until(lambda: all(_ejects_at(a) == {7} for a in agents.values()), why="the policy applies")
                await until(lambda: three.push.in_step, why="three is in step")
                await until(
                    lambda: all(server.statuses.clusters.ever(c) for c in fleet.clusters), why="all were connected"
                )
        shutil.rmtree(root / "mgmt" / "redis")
        served = {c: effective(a) for c, a in agents.items()}
        seen: set[str] = set()
        versions: list[int] = []

        def look() -> None:
            versions.append(len(versions))
            seen.update(
                f"{c} {key}" for c, a in agents.items() for key, d in served[c].items() if effective(a).get(key) != d
            )

        server = await stack.enter_async_context(fleet.server(relay_address=f"127.0.0.1:{port}", **settings))
        for agent in agents.values():
            _watch(agent, look)
        await until(lambda: all(a.push.in_step for a in agents.values()), why="both are back")
        if settings:
            yield Plane(fleet, server, agents)
            return
        await until(lambda: versions and all(a.pull.connected for a in agents.values()), why="both are served")
        assert {c: effective(a) for c, a in agents.items()} == served
        assert seen == set(), "something was other for a moment"
        for agent in agents.values():
            _watch(agent, lambda: None)
        yield Plane(fleet, server, agents)


def _watch(agent: Agent, look: Callable[[], None]) -> None:
    """`look` is called after each version that the agent takes."""
    take = agent._on_version

    def taken(*version: Any) -> None:
        take(*version)
        look()

    agent.desired._on_version = taken


@pytest.mark.spec("M-45", "M-48", "M-51")
async def test_only_what_depends_on_the_missing_cluster_is_held(tmp_path: Path) -> None:
    async with _amnesia(tmp_path) as plane:
        fleet, agents = plane.fleet, plane.agents
        served = {c: effective(a) for c, a in agents.items()}
        _write_solo(fleet, "second")
        await fleet.answers("one", "/who", "second", host="solo.example")
        fleet.write_www("/basket")

        async def unchanged() -> bool:
            return (await fleet.get("one", "/basket")).status == 404 and (await fleet.get("one", "/cart")).status == 200

        await steadily(unchanged, _HOLD, "a table that depends on cluster three was changed")
        for cluster, agent in agents.items():
            now = effective(agent)
            assert {k for k in now.keys() | served[cluster].keys() if now.get(k) != served[cluster].get(k)} == {
                k for k in now if k[0] == "routes"
            }, cluster
        assert plane.reaches("one", "two", "three")
        assert all(_ejects_at(a) == {7} for a in agents.values())
        await fleet.answers("one", "/far", "kept in three", host="far.example")
        assert plane.held()[_HELD] == "WaitingForCluster: three"
        assert not [c for c in plane.held() if "/solo/" in c]
        async with fleet.agent("three", plane.server.relay.port):
            await fleet.answers("one", "/basket", "one 0")
            await until(lambda: not plane.held(), why=plane.held)
            assert plane.reaches("one", "two", "three")
            assert all(_ejects_at(a) == {7} for a in agents.values())
            await fleet.answers("one", "/far", "kept in three", host="far.example")


@pytest.mark.spec("M-45", "M-50")
async def test_nothing_is_missing_when_the_missing_cluster_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server learns of its Services only now, and then asks for their endpoints: these are part of its listing."""
    answer = Agent._on_interest

    def late(agent: Agent, *asked: Any) -> None:
        if agent.cluster != "three":
            answer(agent, *asked)
        else:
            asyncio.get_running_loop().call_later(0.3, answer, agent, *asked)

    monkeypatch.setattr(Agent, "_on_interest", late)
    async with _amnesia(tmp_path) as plane:
        without: list[str] = []

        def look() -> None:
            for cluster, agent in plane.agents.items():
                if "three" not in set[str]().union(*_carts(agent).values()):
                    without.append(f"{cluster}: {_carts(agent)}")

        for agent in plane.agents.values():
            _watch(agent, look)
        await plane.fleet.start_agent("three", plane.server.relay.port)
        await until(lambda: state_of(plane.server, "three") is State.WARM, why="three is back")
        await until(
            lambda: not any(a.desired.scopes[GATEWAY].keep for a in plane.agents.values()), why="nothing is kept"
        )
        await until(lambda: plane.reaches("one", "two", "three"), why="cart is everywhere")
        assert without == []


@pytest.mark.spec("M-46")
async def test_a_person_can_go_on_without_the_missing_cluster(tmp_path: Path) -> None:
    async with _amnesia(tmp_path) as plane:
        fleet = plane.fleet
        fleet.write_www("/basket")
        await until(lambda: plane.held().get(_HELD), why="held at first")
        text = (fleet.folder("mgmt") / "fleet.yaml").read_text()
        marked = text.replace(
            "name: three\n  namespace: gloo-mesh\nspec: {}",
            "name: three\n  namespace: gloo-mesh\nspec: {skipWarming: true}",
        )
        assert marked != text
        m.write_text(fleet.folder("mgmt") / "fleet.yaml", marked)
        await until(lambda: plane.reaches("one", "two"), why=lambda: plane.said)
        await fleet.answers("one", "/basket", "one 0")
        async with httpx.AsyncClient(trust_env=False) as client:
            admin = f"http://127.0.0.1:{plane.server.admin_port}"
            await client.post(f"{admin}/release", json={"cluster": "one"})

        async def gone() -> bool:
            return (await fleet.get("one", "/far", "far.example")).status == 404

        await until(gone, why="its own tables go now at the latest: agents may have held them as a large loss")


@pytest.mark.spec("M-47")
async def test_strict_changes_nothing_anywhere_until_all_are_there(tmp_path: Path) -> None:
    async with _amnesia(tmp_path, safe_mode="strict") as plane:
        fleet = plane.fleet
        _write_solo(fleet, "second")

        async def unchanged() -> bool:
            return (await fleet.get("one", "/who", "solo.example")).text == "first"

        await steadily(unchanged, _HOLD, "an output changed while cluster three was missing")
        async with fleet.agent("three", plane.server.relay.port):
            await fleet.answers("one", "/who", "second", host="solo.example")


@pytest.mark.spec("M-47")
async def test_with_safe_mode_off_the_missing_cluster_is_left_out_when_the_window_is_over(tmp_path: Path) -> None:
    async with _amnesia(tmp_path, safe_mode="off", safe_start_window=1.0) as plane:
        plane.fleet.write_www("/basket")
        await plane.fleet.answers("one", "/basket", "one 0")
        await until(lambda: plane.reaches("one", "two"), why=lambda: plane.said)
