"""Absence is not deletion (design D6): each guard on the way from a folder to an Envoy."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import httpx
import pytest

from agent.app import Agent
from mgmt.app import Server
from mgmt.publish.holds import Holds
from mgmt.publish.publisher import Publisher
from mgmt.translate.turn import Turn
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, effective, running_fleet
from tests.fleet.fleet_network import steadily, until

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]
_HOLD = 1.0  # seconds in which a deletion would long have come
_TABLES = 14


def _tables(prefix: str, count: int = _TABLES) -> list[m.Object]:
    return [m.table(f"{prefix}{n}", [m.says("/who", f"{prefix}{n}")]) for n in range(count)]


async def _served(fleet: Fleet, prefix: str, numbers: Collection[int] = range(_TABLES)) -> set[int]:
    found = {n: await fleet.get("east", "/who", f"{prefix}{n}.example") for n in numbers}
    assert {a.status for a in found.values()} <= {200, 404}
    return {n for n, answer in found.items() if answer.text == f"{prefix}{n}"}


async def _all_served(fleet: Fleet, prefix: str) -> bool:
    return await _served(fleet, prefix) == set(range(_TABLES))


async def _start(fleet: Fleet) -> tuple[Server, Agent]:
    server = await fleet.start_server()
    agent = await fleet.start_agent("east", server.relay.port)
    fleet.start_envoy(agent)
    await fleet.answers("east", "/hi", "hi")
    return server, agent


async def _release(agent: Agent) -> object:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.post(f"http://127.0.0.1:{agent.admin_port}/release")).json()


def _no_exceptions(server: Server) -> bool:
    state = server.publisher.arrivals.gateways["east", GATEWAY]
    return not state.exceptions and not server.publisher.held


async def test_all_files_gone_at_once_wait_for_a_person(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world()
        for file in list(fleet.folder("west").iterdir()):
            file.unlink()
        for number, table in enumerate(_tables("w")):
            fleet.write("west", f"{number}.yaml", table)
        server, _ = await _start(fleet)
        west = await fleet.start_agent("west", server.relay.port)
        await until(lambda: _all_served(fleet, "w"), why="all of west's tables are served")
        for file in list(fleet.folder("west").iterdir()):
            file.unlink()
        await until(lambda: "AllFilesGone" in str(west.findings()), why="the agent says so")
        await steadily(lambda: _all_served(fleet, "w"), _HOLD, "a vanished folder was taken for a deletion")
        assert await _release(west) == {"gateways": [], "objects": _TABLES}

        async def gone() -> bool:
            return await _served(fleet, "w") == set()

        await until(gone, why="a person has agreed")  # the server asks for a new listing of its own, which agrees
        await until(lambda: _no_exceptions(server), why="no guard holds anything any more")


@pytest.mark.parametrize("clusters", [("east",), ("mgmt", "east")], ids=["folder", "folder and agent of mgmt"])
async def test_a_large_loss_goes_out_when_a_new_listing_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clusters: tuple[str, ...]
) -> None:
    async with running_fleet(tmp_path, *clusters) as fleet:
        fleet.write_world()
        fleet.write("mgmt", "tables.yaml", *_tables("m"))
        server, _ = await _start(fleet)
        if "mgmt" in clusters:  # of what it finds only services and the like are taken, so only those are listed
            agent = await fleet.start_agent("mgmt", server.relay.port)
            await until(lambda: agent.push.in_step, why="the agent of the management cluster is in step")
        await until(lambda: _all_served(fleet, "m"), why="all tables are served")
        asked: list[Collection[str]] = []
        monkeypatch.setattr(server.publisher._holds, "_relist", asked.append)  # the listing is on its way
        fleet.write("mgmt", "tables.yaml", *_tables("m", 2))
        await until(lambda: asked, why="the guard asks for a new listing")
        assert {frozenset(clusters) for clusters in asked} == {frozenset({"mgmt"})}
        await steadily(lambda: _all_served(fleet, "m"), _HOLD, "a large loss went out before the new listing")
        reasons = {e.message for e in server.publisher.arrivals.gateways["east", GATEWAY].exceptions}
        assert reasons == {"large loss held, waiting for a new listing of mgmt"}
        server.relisting.demand(asked[0])

        async def two_left() -> bool:
            return await _served(fleet, "m") == {0, 1}

        await until(two_left, why="the new listing agrees")
        await until(lambda: _no_exceptions(server), why="no guard holds anything any more")


@pytest.mark.spec("M-50")
async def test_an_agent_deletes_nothing_for_a_server_that_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        fleet.write("mgmt", "tables.yaml", *_tables("m"))
        server, agent = await _start(fleet)
        await until(lambda: _all_served(fleet, "m"), why="all tables are served")
        before = effective(agent)
        assert await _release(agent) == {"gateways": [], "objects": 0}
        monkeypatch.setattr(Holds, "_weigh", lambda *_: None)  # this server has lost its wits and its guards
        monkeypatch.setattr(Publisher, "_check_agent_guard", lambda *_: None)
        turn = Turn(classes={c: dict.fromkeys(held.resources) for c, held in server.publisher._sets.items()})
        server.publisher.publish(turn, server.publisher.config_version + 1)
        await until(lambda: not agent.desired.scopes[GATEWAY].lists, why="the empty version is there")
        await steadily(lambda: _all_served(fleet, "m"), _HOLD, "an empty version was taken for a deletion")
        kept = effective(agent)
        assert {k: v for k, v in before.items() if k[0] == "routes"} == {
            k: v for k, v in kept.items() if k[0] == "routes"
        }

        def reported() -> set[str]:
            return {e.code for e in server.publisher.arrivals.gateways["east", GATEWAY].exceptions}

        await until(lambda: reported() == {"MassDeletionHeld"}, why="the agent says what it holds")
        assert await _release(agent) == {"gateways": [GATEWAY], "objects": 0}
        assert effective(agent) == {}
