"""The table of relay.md §11: what fails, and that requests through the gateways do not. Its rows about API servers are
in tests/kube/test_what_fails.py.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agent.xds.bootstrap import bootstrap
from fingerpost.secrets.folder import FolderSecrets
from tests.fleet import clockwork
from tests.fleet import fleet_manifests as m
from tests.fleet.failing_plane import CLUSTERS, Plane, away, running_plane, unharmed
from tests.fleet.fleet_harness import GATEWAY, running_fleet
from tests.fleet.fleet_network import Answer, free_port, until
from tests.fleet.fleet_processes import envoy
from tests.unit.relay.tls_support import CLIENT, OpenSsl

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis, pytest.mark.timeout(240)]


@asynccontextmanager
async def no_server(plane: Plane) -> AsyncIterator[None]:
    await plane.stop_server()
    yield
    await plane.start_server()


@asynccontextmanager
async def no_agent(plane: Plane) -> AsyncIterator[None]:
    """And no xDS: an Envoy that starts now gets nothing until the agent is back."""
    bind = plane.fleet.pod("east", 9)
    given = {"bind": bind, "instance": "late"}
    token = plane.agents["east"].tokens.ensure(GATEWAY)
    config = bootstrap(f"127.0.0.1:{plane.xds['east']}", GATEWAY, "east", token, **given)
    await plane.stop_agent("east")
    late = envoy(plane.fleet.root, "late", config)
    try:
        yield
        assert await plane.fleet.client.get(bind, "/cart") == Answer(0, "ConnectError")
        await plane.start_agent("east")

        async def served() -> bool:
            return (await plane.fleet.client.get(bind, "/cart")).status == 200

        await until(served, 40, "the new Envoy is served too")
    finally:
        late.kill()


@asynccontextmanager
async def no_network(plane: Plane) -> AsyncIterator[None]:
    plane.cut()
    for agent in plane.agents.values():
        await away(agent)
    yield
    plane.reconnect()


@asynccontextmanager
async def no_redis(plane: Plane) -> AsyncIterator[None]:
    pid = int((plane.fleet.root / "mgmt" / "redis" / "redis.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        await until(lambda: not plane.server.ingest.synced, why="the server says so")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def no_memory(plane: Plane) -> AsyncIterator[None]:
    """Server and Redis are lost together, and one cluster does not come back at once."""
    await plane.stop_server()
    await plane.stop_agent("west")
    shutil.rmtree(plane.fleet.root / "mgmt" / "redis")
    await plane.start_server()
    await until(lambda: plane.agents["east"].pull.connected, 30, "the other one is there")
    yield
    await plane.start_agent("west")


@asynccontextmanager
async def an_expired_client(plane: Plane) -> AsyncIterator[None]:
    secrets = FolderSecrets(plane.fleet.secrets("east"))
    await plane.stop_agent("east")
    await secrets.put(CLIENT, plane.ssl.leaf("east", days="0"))
    agent = await plane.start_agent("east")
    await until(lambda: CLIENT in str(agent.trust.finding), why="the agent says why it is alone")
    yield
    assert not agent.pull.connected
    await secrets.put(CLIENT, plane.ssl.leaf("east"))


@asynccontextmanager
async def an_expired_root(plane: Plane) -> AsyncIterator[None]:
    await plane.stop_server()
    for cluster in CLUSTERS:
        await plane.stop_agent(cluster)
    await plane.bring(OpenSsl(plane.fleet.root / "expired", "expired", days="0"))
    await plane.start_server()
    agents = [await plane.start_agent(cluster) for cluster in CLUSTERS]
    await until(lambda: all("expired" in str(a.trust.finding) for a in agents), why="the agents say why they are alone")
    yield
    assert not any(agent.pull.connected for agent in agents)
    await plane.stop_server()
    await plane.bring(plane.ssl)
    await plane.start_server()


@asynccontextmanager
async def a_bad_table(plane: Plane) -> AsyncIterator[None]:
    where = {"ref": {"name": "nowhere", "namespace": "shop"}, "port": {"number": 80}}
    plane.fleet.write("mgmt", "bad.yaml", m.table("bad", [m.to("/bad", where)], host=m.HOST))

    async def harmed() -> bool:
        return (await plane.fleet.get("east", "/bad")).status == 500

    await until(harmed, why="that table, and it alone, is in trouble")
    yield
    (plane.fleet.folder("mgmt") / "bad.yaml").unlink()


@asynccontextmanager
async def a_wrong_clock(plane: Plane) -> AsyncIterator[None]:
    """An agent ten minutes ahead."""
    await plane.stop_agent("east")
    settings = plane.fleet.agent_settings("east", plane.road.port)
    settings = msgspec.structs.replace(settings, **plane.agent_settings("east"))
    process = clockwork.started("agent", plane.fleet.root / "agent-ahead.log", settings, ahead=600.0)
    try:
        await process.ready("agent.ready")
        await plane.say("by a clock that is ahead")
        await plane.fleet.answers("east", "/", "by a clock that is ahead", 40, host="probe.example")
        yield
    finally:
        await process.stop()
    await plane.start_agent("east")


Cause = Callable[[Plane], AbstractAsyncContextManager[None]]
ROWS: tuple[tuple[Cause, ...], ...] = (
    (no_server, no_agent, no_network),
    (no_redis, no_memory, a_bad_table),
    (an_expired_client, an_expired_root, a_wrong_clock),
)


@pytest.mark.spec("M-71")
@pytest.mark.parametrize("causes", ROWS, ids=lambda causes: ", ".join(c.__name__ for c in causes))
async def test_requests_do_not_notice(tmp_path: Path, causes: tuple[Cause, ...]) -> None:
    """All this with a telemetry gateway that is down."""
    async with running_fleet(tmp_path, *CLUSTERS) as fleet:
        fleet.write_world()
        async with running_plane(fleet, otlp_endpoint=f"http://127.0.0.1:{free_port()}") as plane:
            for cause in causes:
                async with cause(plane):
                    await unharmed(fleet)
                await plane.healthy()
