"""A day without an agent, and a day without the whole management plane: what is stored and what is served stays."""

from __future__ import annotations

import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.app import Agent
from fingerpost.relay.pieces import join
from fingerpost.relay.v1 import endpoints_pb2
from tests.fleet import clockwork
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, running_fleet
from tests.fleet.fleet_network import Answer, free_port, until
from tests.fleet.fleet_processes import Process, envoy
from tests.orphans import kill_redis

pytestmark = [pytest.mark.fleet, pytest.mark.redis]
CLUSTERS = ("east", "west")


@asynccontextmanager
async def _server(fleet: Fleet, **changed: Any) -> AsyncIterator[tuple[Process, dict[str, Any]]]:
    process = clockwork.started("mgmt", fleet.root / "mgmt.log", fleet.server_settings(**changed))
    try:
        yield process, await process.ready("mgmt.server.ready")
    finally:
        await process.stop()
        kill_redis(fleet.root / "mgmt" / "redis")


class Clusters:
    """Agents and gateways as processes; `restart` is what a new node brings."""

    def __init__(self, fleet: Fleet, relay: int) -> None:
        self.fleet, self.relay = fleet, relay
        self.ports: dict[str, int] = {}  # of the agents, for questions
        self.agents: dict[str, Process] = {}
        self.proxies: dict[str, Process] = {}

    async def start(self, ahead: float = 0.0) -> None:
        for cluster in self.fleet.clusters:
            settings = self.fleet.agent_settings(cluster, self.relay)
            log = self.fleet.root / f"agent-{cluster}.log"
            self.agents[cluster] = clockwork.started("agent", log, settings, ahead)
        for cluster, agent in self.agents.items():
            self.ports[cluster] = (await agent.ready("agent.ready"))["admin"]
            query = f"gateway={GATEWAY}&bind={self.fleet.address(cluster)}&instance=gw-{int(ahead)}"
            config = await self.fleet.client.json(self.ports[cluster], f"/bootstrap?{query}")
            self.proxies[cluster] = envoy(self.fleet.root, f"envoy-{cluster}-{int(ahead)}", config)

    def a_day_passes(self) -> None:
        for agent in self.agents.values():
            agent.signal(signal.SIGUSR1)

    async def stop(self) -> None:
        for process in (*self.proxies.values(), *self.agents.values()):
            process.kill()

    async def served(self) -> dict[str, object]:
        """Everything that the agents hold for their clusters."""
        told = {c: await self.fleet.client.json(port, "/snapshots/output") for c, port in self.ports.items()}
        return {cluster: shown["clusters"] for cluster, shown in told.items()}


def _input_age(text: str, cluster: str) -> float:
    ages = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "relay_input_age_seconds" and sample.labels["cluster"] == cluster
    ]
    return ages[0] if ages else -1.0


@pytest.mark.spec("M-49")
async def test_an_agent_that_is_away_for_a_day_stays_part_of_the_translation(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, *CLUSTERS) as fleet:
        fleet.write_world()
        async with _server(fleet) as (process, ready), fleet.agent("east", ready["relay"]) as east:
            async with fleet.agent("west", ready["relay"]) as west:
                await until(lambda: west.push.in_step and east.push.in_step, why="both are in step")
                await until(lambda: _reached(east).get("cart.shop.example") == {*CLUSTERS}, why=lambda: _reached(east))

            async def age() -> float:
                try:
                    return _input_age(await fleet.client.text(ready["admin"], "/metrics"), "west")
                except httpx.TransportError:
                    return 0.0  # the connection was cut: it has been idle for a day

            async def grows() -> bool:
                return 0 < await age() < clockwork.DAY

            await until(grows, why="west is away, and the age of what it told grows")
            process.signal(signal.SIGUSR1)
            await until(lambda: _older(age), why="its age is a day")
            await until(lambda: east.push.in_step and east.pull.connected, why="east is there, its link begun anew")
            fleet.write("mgmt", "more.yaml", m.virtual_destination("more", app="cart"), _more())
            await until(
                lambda: _reached(east).get("more.shop.example") == {*CLUSTERS},
                why="what is written a day later is translated with the pods of west",
            )
            assert _reached(east)["cart.shop.example"] == {*CLUSTERS}
            shown = (await fleet.client.json(ready["admin"], "/clusters"))["clusters"]
            assert isinstance(shown, list)
            assert {c["name"]: c["state"] for c in shown}["west"] == "Cached"


async def _older(age: Any) -> bool:
    return await age() >= clockwork.DAY


def _more() -> m.Object:
    to = {"ref": {"name": "more", "namespace": "shop"}, "kind": "VIRTUAL_DESTINATION", "port": {"number": 80}}
    return m.table("more", [m.to("/", to)])


@pytest.mark.envoy
@pytest.mark.spec("M-70")
async def test_a_day_without_the_management_plane(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, *CLUSTERS) as fleet:
        fleet.write_world()
        for cluster in CLUSTERS:
            for number in range(2):
                await fleet.backend(cluster, number)
        async with _server(fleet) as (_, ready):
            clusters = Clusters(fleet, ready["relay"])
            await clusters.start()
            for cluster in CLUSTERS:
                await fleet.answers(cluster, "/cart", f"{cluster} 0", 40)
            before = await _settled(clusters)
        shutil.rmtree(fleet.root / "mgmt")
        shutil.rmtree(fleet.secrets("mgmt"))
        clusters.a_day_passes()
        await _all_answer(fleet, CLUSTERS, {"east 0", "west 0"}, 200)
        assert await clusters.served() == before
        await clusters.stop()
        for cluster in CLUSTERS:  # the pods of the service are others too, with another address
            fleet.write(cluster, "cart.yaml", *m.service(cluster, "cart", [fleet.pod(cluster, 1)]))
        clusters.relay = free_port()
        await clusters.start(ahead=clockwork.DAY)
        try:
            for cluster in CLUSTERS:
                await fleet.answers(cluster, "/cart", f"{cluster} 1", 40)
            await _all_answer(fleet, CLUSTERS, {"east 1", "west 1"}, 1000)
            assert await clusters.served() == before, "nothing of what was made is missing"
            # What crosses clusters does so with certificates that are a day old.
            fleet.write("west", "cart.yaml", *m.service("west", "cart", []))
            await until(lambda: _only(fleet, "west", "east 1"), why="pods of west are no longer asked")
        finally:
            await clusters.stop()


async def _settled(clusters: Clusters) -> dict[str, object]:
    """What is served once two looks in a row find the same."""
    last: list[dict[str, object]] = []

    async def same() -> bool:
        last.append(await clusters.served())
        return len(last) > 1 and last[-1] == last[-2]

    await until(same, why="all is served")
    return last[-1]


async def _all_answer(fleet: Fleet, clusters: Sequence[str], texts: set[str], count: int) -> None:
    """Every request, at the gateways in turn, and each of the pods behind them has some."""
    found = [await fleet.get(clusters[number % len(clusters)], "/cart") for number in range(count)]
    wrong = [answer for answer in found if answer not in {Answer(200, text) for text in texts}]
    assert not wrong, (len(wrong), wrong[0])
    assert {answer.text for answer in found} == texts


async def _only(fleet: Fleet, cluster: str, text: str) -> bool:
    return {await fleet.get(cluster, "/cart") for _ in range(20)} == {Answer(200, text)}


def _reached(agent: Agent) -> dict[str, set[str]]:
    """Host of a VirtualDestination -> the clusters whose pods its gateway can reach."""
    state = agent.gateways_.states().get(GATEWAY)
    resources = state.effective.items() if state else ()
    found = [endpoints_pb2.EndpointsTemplate.FromString(join(p)) for key, p in resources if key[0] == "endpoints"]
    return {t.cluster_name.split("|")[-1]: {part.cluster for part in t.parts} for t in found}
