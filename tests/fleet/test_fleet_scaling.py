"""Three replicas behind a Service: one is killed, and two are added (relay.md §9.1)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fingerpost.relay.reasons import Reason
from mgmt.app import Server
from mgmt.ingest.values import State
from mgmt.store.embedded import embedded_redis
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import effective, running_fleet, state_of
from tests.fleet.fleet_network import Answer, Spreader, until
from tests.unit.relay.support import Agent as BareAgent
from tests.unit.relay.support import running

pytestmark = [pytest.mark.fleet, pytest.mark.redis]


def _carried(servers: list[Server]) -> list[str]:
    """The clusters that are Warm, once for each replica that has their agent."""
    return sorted(
        cluster
        for server in servers
        for cluster in server.ingest.sessions.clusters()
        if state_of(server, cluster) is State.WARM
    )


@pytest.mark.envoy
@pytest.mark.spec("M-61")
async def test_the_agents_of_a_killed_replica_are_warm_elsewhere_and_nothing_changes(tmp_path: Path) -> None:
    """The one that is killed reads the management cluster, too."""
    async with embedded_redis(tmp_path / "redis") as redis, running_fleet(tmp_path, "east", "west", "north") as fleet:
        fleet.write_world()
        for cluster in ("west", "north"):  # where no Envoy lets anybody in
            (fleet.folder(cluster) / "cart.yaml").unlink()
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca"}
        victim = fleet.start_server_process(replica="victim", state_dir=tmp_path / "victim", **shared)
        ready = await victim.ready("mgmt.server.ready")
        others = [
            await fleet.start_server(**shared, replica=name, state_dir=tmp_path / name) for name in ("second", "third")
        ]
        ports = [ready["relay"], *(server.relay.port for server in others)]
        async with Spreader().running() as service:
            agents = {}
            for cluster, port in zip(fleet.clusters, ports, strict=True):
                service.ports = [port]
                agents[cluster] = await fleet.start_agent(cluster, service.port)
                await until(lambda agent=agents[cluster]: agent.pull.connected, why=f"{cluster} is connected")
            service.ports = ports
            await fleet.backend("east")
            fleet.start_envoy(agents["east"])
            await fleet.answers("east", "/cart", "east 0")
            await until(lambda: all(agent.push.in_step and effective(agent) for agent in agents.values()))
            await until(lambda: _carried(others) == ["north", "west"], why=lambda: _carried(others))
            assert not any(server.ingest.owns_management for server in others)
            served = {cluster: effective(agent) for cluster, agent in agents.items()}
            heard: set[Answer] = set()

            async def ask() -> None:
                while True:
                    heard.add(await fleet.get("east", "/cart"))
                    await asyncio.sleep(0.05)

            asking = asyncio.create_task(ask())
            victim.kill()
            fleet.write("east", "late.yaml", m.table("late", [m.says("/late", "written meanwhile")]))
            fleet.write("mgmt", "later.yaml", m.table("later", [m.says("/later", "there, too")]))
            await until(lambda: _carried(others) == sorted(fleet.clusters), 15, lambda: _carried(others))
            await fleet.answers("east", "/late", "written meanwhile", 15, host="late.example")
            await fleet.answers("east", "/later", "there, too", 15, host="later.example")
            asking.cancel()
            await asyncio.wait([asking])
            assert heard == {Answer(200, "east 0")}
            for cluster, agent in agents.items():
                now = effective(agent)
                changed = {key[0] for key, digest in served[cluster].items() if now.get(key) != digest}
                assert changed <= {"routes"}, f"{cluster}: only what was edited"


@pytest.mark.spec("M-62")
async def test_two_new_replicas_get_their_share_of_thirty_agents(tmp_path: Path) -> None:
    async with embedded_redis(tmp_path / "redis") as redis, running_fleet(tmp_path) as fleet:
        names = [f"c{number}" for number in range(30)]
        fleet.write("mgmt", "fleet.yaml", *(m.registered(name) for name in names), m.workspace())
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca", "lease": 2.0, "insecure": True}
        servers = [await fleet.start_server(**shared, replica="first")]
        async with Spreader(servers[0].relay.port).running() as service:
            agents = [BareAgent(f"127.0.0.1:{service.port}", name) for name in names]
            for agent in agents:
                agent.push.complete(["core/Service"])
            async with running(*agents):
                await until(lambda: len(_carried(servers)) == 30, 40, lambda: len(_carried(servers)))
                assert not any(agent.losses for agent in agents)
                for name in ("second", "third"):
                    more = await fleet.start_server(**shared, replica=name, state_dir=tmp_path / name, directory=None)
                    servers.append(more)
                    service.ports.append(more.relay.port)
                await until(
                    lambda: len(_carried(servers)) == 30 and all(len(_carried([one])) <= 11 for one in servers),
                    60,
                    lambda: [len(_carried([one])) for one in servers],
                )
                assert {loss.reason for agent in agents for loss in agent.losses} == {Reason.REBALANCE}
                assert sum(not agent.losses for agent in agents) == 11, "the eldest stay"
