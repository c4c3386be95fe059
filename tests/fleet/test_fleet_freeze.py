"""failureMode FREEZE_CONFIG on a running fleet: a table with a route error keeps its last accepted output."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from mgmt.app import Server
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, effective, running_fleet
from tests.fleet.fleet_network import free_port, steadily, until

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]
_NOPE = {**m.CART, "ref": {"name": "nope", "namespace": "shop"}}


def _write(fleet: Fleet, destination: m.Object, greeting: str) -> None:
    table = m.table("www", [m.to("/cart", destination), m.says("/hi", greeting)], host=m.HOST)
    table["spec"]["failureMode"] = "FREEZE_CONFIG"
    fleet.write("mgmt", "www.yaml", table)


def _state(server: Server) -> Any:
    return next((s for k, s in server.translator.all_statuses() if k.name == "www"), None)


def _frozen(server: Server) -> bool:
    found = _state(server)
    return found is not None and found.message.startswith("configuration is frozen")


@pytest.mark.spec("R-157", "R-161", "M-58")
async def test_a_frozen_tree_stays_so_over_restarts_and_goes_with_its_root(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        _write(fleet, m.CART, "hi")
        port = free_port()
        async with fleet.server(relay_address=f"127.0.0.1:{port}") as server:
            await fleet.backend("east")
            agent = await fleet.start_agent("east", port)
            fleet.start_envoy(agent)
            await fleet.answers("east", "/hi", "hi")
            await fleet.answers("east", "/cart", "east 0")
            await until(lambda: agent.push.in_step, why="all is stored")
            served = effective(agent)
            _write(fleet, _NOPE, "hello")
            await until(lambda: _frozen(server), why="the table is frozen")
            assert _state(server).approval.value == "INVALID"
            await steadily(lambda: effective(agent) == served, 0.5, "the table is not frozen")
            await until(lambda: any(n.startswith("frozen/") for n in server.ingest.pins()), why="what was is kept")
            # a gateway that joins meanwhile gets what is frozen, and endpoints stay live
            fleet.write("east", "cart.yaml", *m.service("east", "cart", [fleet.pod("east", 1)]))
            await fleet.backend("east", 1)
            await fleet.answers("east", "/cart", "east 1")
            served, tree = effective(agent), _tree(agent)
            assert tree
        async with fleet.server(relay_address=f"127.0.0.1:{port}") as server:
            await until(lambda: server.publisher.is_open and agent.push.in_step, why="the agent is back")
            await steadily(lambda: effective(agent) == served, 1, "the restart has changed what is served")
            assert _frozen(server)
            assert not agent.desired.scopes[GATEWAY].keep, "Redis remembers what is frozen"
        shutil.rmtree(tmp_path / "mgmt" / "redis")
        async with fleet.server(relay_address=f"127.0.0.1:{port}") as server:
            await until(lambda: server.publisher.is_open and agent.push.in_step, why="the agent is back")
            await until(lambda: len(agent.desired.scopes[GATEWAY].keep) == 1, why="only the table itself is kept")
            await steadily(lambda: _tree(agent) == tree, 1, "the loss of Redis has changed what is served")
            assert _frozen(server)
            assert (await fleet.get("east", "/cart")).text == "east 1"
            assert (await fleet.get("east", "/hi")).text == "hi"
            (fleet.folder("mgmt") / "www.yaml").unlink()
            await until(lambda: _gone(fleet), why="the root is deleted, and all of it with it")


def _tree(agent: Agent) -> list[bytes]:
    """What the table and its destinations add; not the gateway's own answer for hosts that nobody has."""
    pieces = [p for _, found in sorted(agent.gateways_.states()[GATEWAY].effective.items()) for p in found]
    return [p.body for p in pieces if p.contribution and "/shop/" in p.contribution]


async def _gone(fleet: Fleet) -> bool:
    return (await fleet.get("east", "/hi")).status == 404


@pytest.mark.spec("R-157", "R-159", "R-163")
async def test_both_changes_are_applied_once_the_error_is_mended(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        server = await fleet.start_server()
        await fleet.backend("east")
        agent = await fleet.start_agent("east", server.relay.port)
        fleet.start_envoy(agent)
        await fleet.answers("east", "/cart", "east 0")
        new = m.table("new", [m.to("/cart", _NOPE), m.says("/hi", "hi")])
        new["spec"]["failureMode"] = "FREEZE_CONFIG"
        fleet.write("mgmt", "new.yaml", new)
        await until(lambda: any(k.name == "new" for k, _ in server.translator.all_statuses()), why="it is known")
        await steadily(
            lambda: _answers(fleet, "/hi", 404, "new.example"), 0.5, "a first version with an error is served"
        )
        _write(fleet, m.CART, "hello")
        await fleet.answers("east", "/hi", "hello")
        (fleet.folder("mgmt") / "fleet.yaml").rename(tmp_path / "fleet.yaml")
        own = [m.registered("east"), m.workspace(), m.virtual_gateway()]  # the destination is gone
        fleet.write("mgmt", "fleet.yaml", *own)
        await until(lambda: _frozen(server), why="a destination that goes freezes the table, too")
        assert (await fleet.get("east", "/hi")).text == "hello"
        _write(fleet, m.CART, "good day")
        await steadily(lambda: _answers(fleet, "/hi", 200), 0.3, "the other route has stopped")
        assert (await fleet.get("east", "/hi")).text == "hello"
        (tmp_path / "fleet.yaml").rename(fleet.folder("mgmt") / "fleet.yaml")
        await fleet.answers("east", "/hi", "good day")
        await fleet.answers("east", "/cart", "east 0")
        assert not server.ingest.pins()


async def _answers(fleet: Fleet, path: str, status: int, host: str = m.HOST) -> bool:
    return (await fleet.get("east", path, host)).status == status
