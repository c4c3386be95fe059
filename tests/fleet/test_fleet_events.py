"""What happens is told by `events`, and the way of a change by `trace`, also with two replicas."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.admin.app import admin_app
from mgmt.app import Server
from mgmt.ingest.values import State
from mgmt.store.embedded import EmbeddedRedis, embedded_redis
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, running_fleet, state_of
from tests.fleet.fleet_network import until
from tests.fleet.fleet_processes import command
from tests.fleet.otlp_collector import running_collector

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]


def _told(server: Server) -> list[tuple[str, str]]:
    """Without holds: whether one is seen before a cluster has told everything depends on who is faster."""
    found = [(e.kind.value, e.cluster) for e in server.happenings.events.since()]
    return [event for event in found if event[0] not in ("Held", "Released")]


def _contexts(folder: Path, *ports: int) -> tuple[str, str]:
    addresses = ", ".join(f"'http://127.0.0.1:{port}'" for port in ports)
    text = f"current: f\ncontexts: {{f: {{servers: [{addresses}]}}}}\n"
    m.write_text(folder / "contexts.yaml", text)
    return "--config", str(folder / "contexts.yaml")


async def test_agents_that_come_and_go_and_a_redis_that_is_away_are_told_once(tmp_path: Path) -> None:
    redis = EmbeddedRedis(tmp_path)
    await redis.start()
    try:
        async with running_fleet(tmp_path) as fleet:
            fleet.write_world()
            server = await fleet.start_server(redis_url=redis.url)

            async def told(*events: tuple[str, str]) -> None:
                await until(lambda: _told(server) == list(events), 30, lambda: _told(server))

            await told(("Leading", ""))  # clusters that never connected are not waited for
            await fleet.start_agent("east", server.relay.port)
            await told(("Leading", ""), ("Connected", "east"))
            async with fleet.agent("west", server.relay.port):
                seen = [("Leading", ""), ("Connected", "east"), ("Connected", "west")]
                await told(*seen)
            await told(*seen, ("Disconnected", "west"))
            os.kill(redis.pid, signal.SIGSTOP)
            fleet.write("mgmt", "news.yaml", m.table("news", [m.says("/news", "fresh")]))
            await told(*seen, ("Disconnected", "west"), ("StoreLost", ""))
            os.kill(redis.pid, signal.SIGCONT)
            await told(*seen, ("Disconnected", "west"), ("StoreLost", ""), ("StoreBack", ""))
            flags = _contexts(tmp_path, server.admin_port)
            code, said = await command("events", "--cluster", "west", *flags)
            assert code == 0, said
            types = [line.split(" | ")[1].strip() for line in said.splitlines()[1:]]
            assert [t for t in types if t not in ("Held", "Released")] == ["Connected", "Disconnected"]
    finally:
        await redis.stop()


@pytest.mark.spec("M-79")
async def test_two_replicas_share_the_trace_and_each_knows_its_part(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    async with (
        running_collector() as collector,
        embedded_redis(tmp_path / "redis") as redis,
        running_fleet(tmp_path) as fleet,
    ):
        fleet.write_world()
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca", "otlp_endpoint": collector.endpoint}
        first = await fleet.start_server(**shared, replica="first")
        second = await fleet.start_server(**shared, replica="second", state_dir=tmp_path / "second", directory=None)
        for cluster, server in (("east", first), ("west", second)):
            agent = await fleet.start_agent(cluster, server.relay.port, otlp_endpoint=collector.endpoint)
            fleet.start_envoy(agent)
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/hi", "hi")
        # only the first server reads the folder of the management cluster; west hears of it through the second one
        fleet.write("mgmt", "news.yaml", m.table("news", [m.says("/news", "fresh")], host="news.example"))
        written = time.time()
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/news", "fresh", host="news.example")
        took = time.time() - written

        def root() -> str:
            found = [s for s in collector.named("change.seen") if "shop/news" in s.about["fingerpost.objects"]]
            assert len(found) < 2, "the trace began twice"
            return found[0].trace if found else ""

        def arrived() -> bool:
            applied = [s for s in collector.named("mgmt.applied") if s.trace == root()]
            return {(s.instance, s.about["fingerpost.cluster"]) for s in applied} == {
                ("first", "east"),
                ("second", "west"),
            }

        await until(arrived, 20, lambda: sorted(s.name for s in collector.spans))
        flags = _contexts(tmp_path, first.admin_port, second.admin_port)
        code, said = await command("trace", "routetable", "shop/news", "-o", "json", *flags)
        assert code == 0, said
        (item,) = json.loads(said)["items"]
        assert (item["trace"], item["replicas"], item["unknown"]) == (root(), ["first", "second"], [])
        assert list(item["stages"]) == ["published", "seen", "stored", "translated"]
        assert [(c["name"], bool(c["applied"])) for c in item["clusters"]] == [("east", True), ("west", True)]
        # without the first nobody knows when Redis had it, but its moment travelled
        alone = _contexts(tmp_path, second.admin_port)
        code, said = await command("trace", "routetable", "shop/news", *alone)
        assert code == 0, said
        assert "pushed, stored not known" in said
        assert second.journal.last is not None
        (passage,) = second.journal.at(item["configVersion"])
        assert 0 <= passage.published - passage.seen < took * 1e9 + 1e9


async def test_dumps_and_pages_of_an_agent_answer_loopback_only(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        server = await fleet.start_server()
        agent = await fleet.start_agent("east", server.relay.port)
        await until(lambda: state_of(server, "east") is State.WARM, why="the server knows all of it")
        await server.ingest.settled()
        sent_to = server.publisher.scopes("east")
        await until(lambda: agent.desired.scopes[GATEWAY].version == sent_to[GATEWAY].version, why="both sides agree")
        app = admin_app(agent, lambda: b"")

        def client(host: str) -> httpx.AsyncClient:
            return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(host, 4711)), base_url="http://agent")

        paths = ("/snapshots/input", "/snapshots/output", "/debug/", "/debug/tasks", "/debug/memory", "/debug/queues")
        async with client("127.0.0.1") as near, client("10.1.2.3") as far:
            assert [(await far.get(path)).status_code for path in paths] == [403] * len(paths)
            answers: dict[str, Callable[[], Any]] = {path: (await near.get(path)).json for path in paths}
            assert (await near.get("/debug/nothing")).status_code == 404
        pushed = (await fleet.client.json(server.admin_port, "/snapshots/input"))["clusters"]
        assert isinstance(pushed, dict)
        assert answers["/snapshots/input"]()["clusters"]["east"]["types"] == pushed["east"]["types"]
        sent = (await fleet.client.json(server.admin_port, "/snapshots/output"))["clusters"]
        assert isinstance(sent, dict)
        own = answers["/snapshots/output"]()["clusters"]["east"]["types"]
        assert own.keys() == {"cluster", "endpoints", "listener", "routes"} & own.keys()
        assert own["routes"] == sent["east"]["types"]["routes"]
        assert "agent.watch" in {task["name"] for task in answers["/debug/tasks"]()["tasks"]}
        assert answers["/debug/queues"]()["push"]["waiting"] == 0
