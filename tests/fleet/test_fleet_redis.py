"""Redis forgets, or is away, while the fleet runs (relay.md §6.3)."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from mgmt.store.embedded import EmbeddedRedis, embedded_redis
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, effective, running_fleet
from tests.fleet.fleet_network import Spreader, free_port, settled, steadily, until

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]


async def _inputs(redis: EmbeddedRedis) -> dict[tuple[bytes, bytes], bytes]:
    client: Any = Redis(unix_socket_path=str(redis.socket))
    keys = [key async for key in client.scan_iter("fp:1:{fp}:in:*")]
    found = {(key, name): value for key in keys for name, value in (await client.hgetall(key)).items()}
    await client.aclose()
    return {k: v for k, v in found.items() if b"Session" not in k[0]}  # a new epoch is a new session record


def _statuses(fleet: Fleet) -> dict[str, int]:
    return {
        str(p): p.stat().st_mtime_ns
        for p in (fleet.root / "mgmt" / "cluster" / "status").rglob("[!.]*.json")
        if p.is_file()
    }


@pytest.mark.spec("M-39", "M-40")
async def test_a_redis_that_forgets_or_is_away_disturbs_nobody(tmp_path: Path) -> None:
    redis = EmbeddedRedis(tmp_path)
    await redis.start()
    try:
        async with running_fleet(tmp_path) as fleet:
            fleet.write_world()
            await fleet.backend("east")
            server = await fleet.start_server(redis_url=redis.url)
            agents = [await fleet.start_agent(c, server.relay.port) for c in fleet.clusters]
            fleet.start_envoy(agents[0])
            await fleet.answers("east", "/cart", "east 0")
            await until(lambda: all(a.push.in_step for a in agents), why="all is stored")
            await settled(lambda: _statuses(fleet), 0.5)
            stored, statuses = await _inputs(redis), _statuses(fleet)
            served = [effective(a) for a in agents]
            assert any(b'"www"' in value for value in stored.values())
            assert statuses
            client = Redis(unix_socket_path=str(redis.socket))
            await client.flushall()
            await client.aclose()

            async def restored() -> bool:
                return await _inputs(redis) == stored

            await until(restored, 30, "Redis holds the state again")
            await steadily(lambda: [effective(a) for a in agents] == served, 1, "a gateway was changed")
            assert _statuses(fleet) == statuses

            await redis.stop()
            await until(lambda: not server.ingest.synced, why="the server has noticed")
            fleet.write_www("/basket")
            await fleet.answers("east", "/basket", "east 0")
            fleet.write("west", "own.yaml", m.table("own", [m.says("/own", "from west")]))
            await fleet.answers("east", "/own", "from west", host="own.example")
            await redis.start()

            async def caught_up() -> bool:
                found = b"".join((await _inputs(redis)).values())
                return b"/basket" in found and b"from west" in found

            await until(caught_up, 30, "Redis was given what it missed")
            assert (await fleet.get("east", "/basket")).text == "east 0"
    finally:
        await redis.stop()


@pytest.mark.spec("M-40")
async def test_a_full_redis_is_named_and_gets_what_it_missed(tmp_path: Path) -> None:
    """Changes arrive all the same, a new agent is served, and nothing is taken for absent."""
    async with running_fleet(tmp_path) as fleet, embedded_redis(tmp_path / "own") as redis:
        fleet.write_world()
        await fleet.backend("east")
        server = await fleet.start_server(redis_url=redis.url)
        east = await fleet.start_agent("east", server.relay.port)
        fleet.start_envoy(east)
        async with fleet.agent("west", server.relay.port) as west:
            await fleet.answers("east", "/cart", "east 0")
            await until(lambda: east.push.in_step and west.push.in_step, why="all is stored")
        served = effective(east)
        client: Any = Redis(unix_socket_path=str(redis.socket))
        await client.config_set("maxmemory", 1)
        fleet.write_www("/basket")
        await fleet.answers("east", "/basket", "east 0")
        fleet.write("west", "own.yaml", m.table("own", [m.says("/own", "from west")]))
        async with fleet.agent("west", server.relay.port) as west:
            await fleet.answers("east", "/own", "from west", host="own.example")
            found = await fleet.client.json(server.admin_port, "/check")
            assert f"redis at {redis.socket} is full and takes no writes; raise its maxmemory" in str(found)
            assert not west.push.in_step, "nobody may be told that it is stored"
            await client.config_set("maxmemory", 0)
            await until(lambda: west.push.in_step, 30, "Redis has been given what it missed")
        stored = b"".join((await _inputs(redis)).values())
        await client.aclose()
        assert b"/basket" in stored
        assert b"from west" in stored
        assert served.keys() <= effective(east).keys()
        assert "CHK061" not in str(await fleet.client.json(server.admin_port, "/check"))


async def test_a_restarted_server_whose_redis_was_lost_is_obeyed(tmp_path: Path) -> None:
    """Agents hold higher versions than the new Redis counts, also of gateways that do not change (design D4)."""
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world()
        await fleet.backend("east")
        port = free_port()
        async with fleet.server(relay_address=f"127.0.0.1:{port}") as server, fleet.agent("east", port) as east:
            async with fleet.agent("west", port) as west:
                await until(lambda: west.push.in_step and east.push.in_step, why="all is stored")
            for number in range(40):  # east learns of versions that west does not know
                before = server.publisher.config_version
                fleet.write_www(f"/cart{number}")
                await until(lambda before=before: east.desired.scopes[GATEWAY].version > before, why="east has it")
            held = east.desired.scopes[GATEWAY].version  # what a restarted agent brings; statuses may be newer
        shutil.rmtree(tmp_path / "mgmt" / "redis")
        fleet.write_www("/basket")
        # the same cluster, whose agent has forgotten what it served; another cluster of this name would be refused
        shutil.copytree(tmp_path / "agent-east" / "cluster", tmp_path / "blank" / "cluster")
        async with fleet.server(relay_address=f"127.0.0.1:{port}") as server, fleet.agent("west", port) as west:
            async with fleet.agent("east", port, state_dir=tmp_path / "blank") as blank:
                agents = (west, blank)
                await until(lambda: all(a.push.in_step and effective(a) for a in agents), why="all is known again")
                await until(lambda: not any(a.desired.scopes[GATEWAY].keep for a in agents), why="nothing is kept")
            assert server.publisher.config_version < held
            async with fleet.agent("east", port) as east:  # brings nothing new, so no gateway changes
                await until(lambda: east.desired.scopes[GATEWAY].version > held, why="east takes the new version")
                await until(lambda: west.desired.scopes[GATEWAY].version > held, why="and so does west")
                fleet.start_envoy(east)
                await fleet.answers("east", "/basket", "east 0")


async def test_an_embedded_redis_that_is_killed_is_started_again(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        server = await fleet.start_server()
        agent = await fleet.start_agent("east", server.relay.port)
        await until(lambda: agent.push.in_step, why="all is stored")
        pid_file = tmp_path / "mgmt" / "redis" / "redis.pid"
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGKILL)
        await until(lambda: int(pid_file.read_text()) != pid, why="another one runs")
        await until(lambda: server.ingest.synced, why="the server has found it")
        fleet.write("east", "own.yaml", m.table("own", [m.says("/own", "from east")]))
        fleet.start_envoy(agent)
        await fleet.answers("east", "/own", "from east", host="own.example")


@pytest.mark.spec("M-39")
async def test_an_empty_redis_at_another_address_is_filled_by_two_servers(tmp_path: Path) -> None:
    """What was acknowledged is in the new one, and no gateway loses anything."""
    ports = free_port(), free_port()
    async with (
        running_fleet(tmp_path) as fleet,
        embedded_redis(tmp_path / "new", port=ports[1]) as fresh,
        Spreader(ports[0]).running() as address,
    ):
        fleet.write_world()
        shared = {"redis_url": f"redis://127.0.0.1:{address.port}", "ca_dir": tmp_path / "ca"}
        async with embedded_redis(tmp_path / "old", port=ports[0]) as former:
            servers = [await fleet.start_server(**shared, replica="first")]
            servers.append(
                await fleet.start_server(**shared, replica="second", state_dir=tmp_path / "second", directory=None)
            )
            agents = [await fleet.start_agent(c, s.relay.port) for c, s in zip(fleet.clusters, servers, strict=True)]
            fleet.write("west", "own.yaml", m.table("own", [m.says("/own", "from west")]))
            await until(lambda: all(effective(a) for a in agents), why="all are served")
            await until(lambda: all(a.push.in_step for a in agents), why="all is acknowledged")
            await settled(lambda: [effective(a) for a in agents], 1)
            served, stored = [effective(a) for a in agents], await _inputs(former)
            assert any(b"from west" in value for value in stored.values())
            epoch = servers[0].ingest.epoch
            address.move(ports[1])

        async def filled() -> bool:
            return await _inputs(fresh) == stored

        await until(filled, 30, "the new one holds all that the former held")
        await until(lambda: all(s.ingest.synced and s.ingest.epoch != epoch for s in servers))
        await steadily(lambda: [effective(a) for a in agents] == served, 1, "a gateway was changed")
        fleet.write("west", "own.yaml", m.table("own", [m.says("/own", "and edited")]))
        await until(lambda: all(effective(a) != before for a, before in zip(agents, served, strict=True)), 20)


async def test_a_server_with_a_slow_way_to_redis_keeps_up(tmp_path: Path) -> None:
    port = free_port()
    async with (
        running_fleet(tmp_path) as fleet,
        embedded_redis(tmp_path / "redis", port=port),
        Spreader(port, delay=0.1).running() as slow,
    ):
        fleet.write_world()
        first = await fleet.start_server(redis_url=f"redis://127.0.0.1:{port}", ca_dir=tmp_path / "ca", replica="first")
        second = await fleet.start_server(
            redis_url=f"redis://127.0.0.1:{slow.port}",
            ca_dir=tmp_path / "ca",
            replica="second",
            state_dir=tmp_path / "second",
            directory=None,
        )
        east = await fleet.start_agent("east", first.relay.port)
        west = await fleet.start_agent("west", second.relay.port)
        await until(lambda: east.push.in_step and west.push.in_step and effective(east) and effective(west))
        keys = set(effective(east)), set(effective(west))
        for number in range(20):
            fleet.write_www(f"/cart{number}")
            fleet.write("west", "own.yaml", m.table("own", [m.says("/own", f"{number}")]))
        await until(lambda: west.push.in_step, why="it is acknowledged")

        def agree() -> bool:
            one, two = ({k: s.hash for k, s in server.ingest.inputs.items()} for server in (first, second))
            return one == two and any(b'"/cart19"' in s.body for _, s in second.ingest.inputs.items())

        await until(agree, 30, "both hold the same")
        assert first.ingest.synced
        assert second.ingest.synced
        await until(lambda: keys[0] <= set(effective(east)) and keys[1] <= set(effective(west)))
