"""A killed and restarted server with nothing changed: nothing moves on the relay, nothing is written (M-11, M-41)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from agent.app import Agent
from agent.apply.journal import Journal
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet, effective, running_fleet
from tests.fleet.fleet_network import Tap, free_port, settled, until

_TABLES = 300
_BUDGET = 64_000


def _written(fleet: Fleet) -> dict[str, int]:
    """Everything that agents keep, and the statuses that the server writes; not those about its agents themselves, and
    no file that is being written. Of gateways see `_served`: while one agent is back and the other is not, it is told
    to keep what depends on the other, and notes that.
    """
    folders = [fleet.root / "mgmt" / "cluster" / "status", *(fleet.root / f"agent-{c}" for c in fleet.clusters)]
    passing = (".new", ".state")
    found = [p for folder in folders for p in folder.rglob("*") if p.name[0] != "." and p.suffix not in passing]
    return {str(p): p.stat().st_mtime_ns for p in found if p.is_file() and "KubernetesCluster" not in str(p)}


def _served(fleet: Fleet) -> dict[str, object]:
    """What an agent that starts without its server would serve."""
    found: dict[str, object] = {}
    for cluster in fleet.clusters:
        for path in (fleet.root / f"agent-{cluster}").rglob("*.state"):
            state = Journal(path).load()
            assert state is not None
            found[f"{cluster}/{path.name}"] = {key: pieces.digest for key, pieces in state.effective.items()}
    return found


async def _updates(fleet: Fleet, admin_port: int) -> list[str]:
    """How often Envoy has been given something."""
    found = await fleet.client.text(admin_port, "/stats?filter=update_success|update_attempt|version")
    return sorted(line for line in found.splitlines() if "ds.update_success" in line or "ds.version" in line)


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
@pytest.mark.parametrize("redis_too", [False, True], ids=["server", "server and redis"])
@pytest.mark.spec("M-11", "M-41")
async def test_a_restart_with_nothing_changed_moves_and_writes_nothing(tmp_path: Path, redis_too: bool) -> None:
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world()
        for number in range(_TABLES):
            routes = [m.to("/cart", m.CART), m.says("/who", f"table {number}"), m.says("/x", f"{number}" * 50)]
            fleet.write("mgmt", f"tables/t{number}.yaml", m.table(f"t{number}", routes))
            fleet.write("east", f"tables/e{number}.yaml", m.table(f"e{number}", routes))
        port, admin_port = free_port(), free_port()
        server = fleet.start_server_process(port, insecure="true")
        await server.ready("mgmt.server.ready")
        await fleet.backend("east")
        async with Tap(port).running() as east, Tap(port).running() as west:
            taps = {"east": east, "west": west}
            agents = {c: await fleet.start_agent(c, tap.port, insecure=True) for c, tap in taps.items()}
            fleet.start_envoy(agents["east"], admin_port=admin_port)
            await fleet.answers("east", "/cart", "east 0")
            await fleet.answers("east", "/who", f"table {_TABLES - 1}", host=f"e{_TABLES - 1}.example")
            await until(lambda: _in_step(agents), why="all is stored")
            await until(lambda: not any(a._keeper._dirty for a in agents.values()), why="all is kept")  # type: ignore[attr-defined]
            await until(lambda: _all_told(fleet), 30, "the statuses tell that it has arrived")
            await settled(lambda: _written(fleet), 2)
            for tap in taps.values():
                assert tap.total > 3 * _BUDGET, "at first all of it moves: only then the limit means something"
            served = {c: effective(a) for c, a in agents.items()}
            written, kept, updates = _written(fleet), _served(fleet), await _updates(fleet, admin_port)
            assert kept
            assert updates
            if redis_too:
                os.kill(int((tmp_path / "mgmt" / "redis" / "redis.pid").read_text()), signal.SIGKILL)
            server.kill()
            await until(lambda: not any(a.pull.connected for a in agents.values()), why="the links are down")
            for tap in taps.values():
                tap.clear()
            server = fleet.start_server_process(port, insecure="true")
            await server.ready("mgmt.server.ready")
            await until(lambda: _in_step(agents), why="both agents are back")
            await settled(lambda: [tap.total // 4096 for tap in taps.values()], 2)
            moved = {c: tap.total for c, tap in taps.items()}
            assert all(0 < total < _BUDGET for total in moved.values()), moved
            assert {c: effective(a) for c, a in agents.items()} == served
            now = _written(fleet)
            assert sorted(p for p in now.keys() | written.keys() if now.get(p) != written.get(p)) == []
            assert _served(fleet) == kept
            assert await _updates(fleet, admin_port) == updates
            fleet.write_www("/basket")  # and it works
            await fleet.answers("east", "/basket", "east 0")


def _all_told(fleet: Fleet) -> bool:
    tables = fleet.root.glob("*/cluster/status/*RouteTable/*/*.json")
    told = ['"gateways":"2/2"' in path.read_text() for path in tables]
    return len(told) > 2 * _TABLES and all(told)


def _in_step(agents: dict[str, Agent]) -> bool:
    return all(a.pull.connected and a.push.in_step for a in agents.values())


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
async def test_the_last_object_of_a_kind_that_goes_while_its_agent_is_away_is_gone_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world()
        fleet.write("west", "own.yaml", m.table("own", [m.says("/who", "west's own")]))
        server = await fleet.start_server()
        port = server.relay.port
        east = await fleet.start_agent("east", port)
        fleet.start_envoy(east)
        async with fleet.agent("west", port):
            await fleet.answers("east", "/who", "west's own", host="own.example")
        (fleet.folder("west") / "own.yaml").unlink()
        await fleet.start_agent("west", port)

        async def gone() -> bool:
            return (await fleet.get("east", "/who", "own.example")).status == 404

        await until(gone, 10, "the table is still served")
        await fleet.answers("east", "/hi", "hi")
