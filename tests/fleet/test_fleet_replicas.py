"""Several replicas on one Redis, some of the agents on each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from fingerpost.relay.pieces import PieceList
from mgmt.app import Server
from mgmt.ingest.values import State
from mgmt.store.embedded import embedded_redis
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, effective, running_fleet
from tests.fleet.fleet_network import free_port, steadily, until
from tests.fleet.fleet_processes import command

pytestmark = [pytest.mark.fleet, pytest.mark.redis]


@pytest.mark.envoy
async def test_an_edit_that_one_server_sees_is_live_in_an_envoy_of_the_other(tmp_path: Path) -> None:
    async with embedded_redis(tmp_path / "redis") as redis, running_fleet(tmp_path) as fleet:
        fleet.write_world()
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca"}
        first = await fleet.start_server(**shared, replica="first")
        second = await fleet.start_server(**shared, replica="second", state_dir=tmp_path / "second", directory=None)
        east = await fleet.start_agent("east", first.relay.port)
        west = await fleet.start_agent("west", second.relay.port)
        for agent in (east, west):
            fleet.start_envoy(agent)
        for cluster in ("east", "west"):
            await fleet.backend(cluster)
            await fleet.answers(cluster, "/cart", f"{cluster} 0")
        fleet.write_www("/basket")  # only the first server reads the folder of the management cluster
        await fleet.answers("west", "/basket", "west 0")
        fleet.write("west", "own.yaml", m.table("own", [m.says("/own", "written in west")]))  # goes to the second one
        await fleet.answers("east", "/own", "written in west", host="own.example")
        assert {c for c in fleet.clusters if first.ingest.owns(c)} == {"east"}
        assert {c for c in fleet.clusters if second.ingest.owns(c)} == {"west"}


@pytest.mark.spec("M-61")
async def test_a_server_without_a_folder_gives_way_to_one_that_can_read_it(tmp_path: Path) -> None:
    """Else nobody would read it for as long as the first server lives."""
    async with embedded_redis(tmp_path / "redis") as redis, running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca"}
        blind = await fleet.start_server(**shared, replica="blind", state_dir=tmp_path / "blind", directory=None)
        await until(lambda: blind.ingest.leads, why="there is no other yet")
        async with fleet.server(**shared, replica="reading") as reading:
            await until(lambda: reading.ingest.leads and not blind.ingest.owns_management, 20, "who reads leads")
            agent = await fleet.start_agent("east", blind.relay.port)
            await until(lambda: effective(agent), 20, "what it has read is served by both")
            before = effective(agent)
            fleet.write_www("/basket")
            await until(lambda: effective(agent) != before, 20, "an edit of the folder is served")
        await until(lambda: blind.ingest.leads, 30, "the other stands in")
        edited = effective(agent)
        await steadily(lambda: effective(agent) == edited, 1, "what was read went with its reader")
        assert blind.ingest.states.management.state in (State.WARM, State.CACHED)


async def _findings(fleet: Fleet, *servers: Server) -> set[tuple[str, str]]:
    contexts = fleet.root / "contexts.yaml"
    addresses = [f"http://127.0.0.1:{server.admin_port}" for server in servers]
    contexts.write_text(json.dumps({"current": "fleet", "contexts": {"fleet": {"servers": addresses}}}))
    _, said = await command("check", "--config", str(contexts), "-o", "json")
    found: list[dict[str, Any]] = json.loads(said)["findings"]
    return {(finding["code"], finding["object"]) for finding in found}


async def test_servers_that_have_never_reached_redis_serve_and_say_what_they_do_not_know(tmp_path: Path) -> None:
    """relay.md §6.3: they are ready. Neither takes the agents of the other for gone, and Redis makes them agree."""
    port = free_port()
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world()
        shared = {"redis_url": f"redis://127.0.0.1:{port}", "ca_dir": tmp_path / "ca"}
        servers = [
            await fleet.start_server(**shared, replica=name, state_dir=tmp_path / name) for name in ("first", "second")
        ]
        agents = {
            cluster: await fleet.start_agent(cluster, server.relay.port)
            for cluster, server in zip(fleet.clusters, servers, strict=True)
        }
        for server in servers:
            assert (await fleet.client.json(server.admin_port, "/readyz"))["status"] == "ok"
        for agent in agents.values():
            await until(lambda agent=agent: effective(agent), why="it is served from memory")
        wrong = {"CHK041", "CHK043", "CHK149", "CHK051"}
        assert not wrong & {code for code, _ in await _findings(fleet, *servers)}
        assert ("CHK149", "west") in await _findings(fleet, servers[0])

        served = {cluster: set(effective(agent)) for cluster, agent in agents.items()}
        async with embedded_redis(tmp_path / "redis", port=port):
            await until(lambda: all(server.ingest.synced for server in servers), why="Redis is there")
            for server in servers:
                await until(
                    lambda server=server: {s.state.value for s in server.ingest.states.clusters.values()} == {"Warm"},
                    why="both clusters are seen by both",
                )
            await steadily(
                lambda: all(served[cluster] <= set(effective(agent)) for cluster, agent in agents.items()),
                1,
                "something was taken away",
            )
            assert not {"CHK061", *wrong} & {code for code, _ in await _findings(fleet, *servers)}


async def _arrival(server: Server, name: str) -> dict[str, Any]:
    folder = server.settings.state_dir / "cluster" / "status"
    (found,) = [path for path in folder.rglob("*.json") if path.stem.endswith(name) and "RouteTable" in str(path)]
    arrival: dict[str, Any] = json.loads(found.read_text()).get("arrival", {})
    return arrival


@pytest.mark.spec("R-171", "R-172")
async def test_the_status_tells_of_gateways_whose_agent_is_connected_to_another_server(tmp_path: Path) -> None:
    """Design D9: the server that writes the statuses has but one of the two agents."""
    async with embedded_redis(tmp_path / "redis") as redis, running_fleet(tmp_path) as fleet:
        fleet.write_world()
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca"}
        first = await fleet.start_server(**shared, replica="first")
        second = await fleet.start_server(**shared, replica="second", state_dir=tmp_path / "second", directory=None)
        await fleet.start_agent("east", first.relay.port)

        async def said(generation: int, gateways: str) -> dict[str, Any]:
            last: dict[str, Any] = {}

            async def so() -> bool:
                last.clear()
                last.update(await _arrival(first, "www"))
                return (last.get("generation"), last.get("gateways")) == (generation, gateways)

            await until(so, 20, lambda: f"generation {generation} at {gateways}: {last}")
            return last

        async with fleet.agent("west", second.relay.port) as west:
            await said(1, "2/2")
            for number in range(2, 5):  # turns of the two need not be the same
                fleet.write("west", "own.yaml", m.table("own", [m.says("/own", f"{number}")]))
                fleet.write_www(f"/cart{number}")
                await said(number, "2/2")
            await until(lambda: west.push.in_step)
        fleet.write_www("/gone")
        found = await said(5, "1/2")
        assert found["missing"] == [{"gateway": "west/gw/ingress", "reason": "its agent is not connected"}]
        await fleet.start_agent("west", second.relay.port)
        await said(5, "2/2")


async def test_a_large_loss_told_to_one_server_goes_out_at_the_gateways_of_the_other(tmp_path: Path) -> None:
    async with embedded_redis(tmp_path / "redis") as redis, running_fleet(tmp_path) as fleet:
        fleet.write_world()
        tables = [m.table(f"w{n}", [m.says("/who", f"w{n}")]) for n in range(14)]
        fleet.write("west", "tables.yaml", *tables)
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca"}
        first = await fleet.start_server(**shared, replica="first")
        second = await fleet.start_server(**shared, replica="second", state_dir=tmp_path / "second", directory=None)
        east = await fleet.start_agent("east", first.relay.port)
        await fleet.start_agent("west", second.relay.port)

        def served() -> int:
            return b"".join(piece.body for list_ in _routes(east) for piece in list_).count(b".example") // 2

        await until(lambda: served() >= 14, why="all of west's tables are served in east")
        fleet.write("west", "tables.yaml", *tables[:1])
        await until(lambda: served() < 5, why=lambda: f"{served()} tables in east; {first.publisher.held}")


def _routes(agent: Agent) -> list[PieceList]:
    state = agent.gateways_.states().get(GATEWAY)
    return [pieces for (type_, _), pieces in state.effective.items() if type_ == "routes"] if state else []
