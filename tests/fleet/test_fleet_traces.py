"""A change as one trace over all processes, exported by OTLP to a real collector; and how long it took."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from mgmt.app import Server
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet, running_fleet
from tests.fleet.fleet_network import free_port, until
from tests.fleet.otlp_collector import Collector, Span, running_collector

CLUSTERS = ("east", "west", "north")
pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's variable: spans are sent ten times a second, not every five seconds."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")


async def _start(fleet: Fleet, collector: Collector) -> None:
    """The server as a process of its own."""
    fleet.write_world()
    relay = free_port()
    process = fleet.start_server_process(relay, otlp_endpoint=collector.endpoint)
    await process.ready("mgmt.server.ready")
    for cluster in fleet.clusters:
        agent = await fleet.start_agent(cluster, relay, otlp_endpoint=collector.endpoint)
        fleet.start_envoy(agent)
    for cluster in fleet.clusters:
        await fleet.answers(cluster, "/hi", "hi")


def _ancestors(span: Span, spans: list[Span]) -> list[str]:
    by_id = {s.id: s for s in spans}
    names = []
    while span.parent:
        span = by_id[span.parent]
        names.append(span.name)
    return names


@pytest.mark.spec("M-79")
async def test_a_change_is_one_trace_from_a_folder_to_the_envoys_of_three_clusters(tmp_path: Path) -> None:
    async with running_collector() as collector, running_fleet(tmp_path, *CLUSTERS) as fleet:
        await _start(fleet, collector)
        edited = time.time_ns()
        # an object of a workload cluster, so that it is the agent there which sees the change
        table = m.table("news", [m.says("/news", "fresh")], host="news.example")
        fleet.write("east", "news.yaml", table)
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/news", "fresh", host="news.example")

        def roots() -> list[Span]:
            return [
                s for s in collector.named("change.seen") if "RouteTable shop/news" in s.about["fingerpost.objects"]
            ]

        def whole() -> bool:
            return bool(roots()) and len([s for s in _of(collector, roots()[0]) if s.name == "mgmt.applied"]) == 3

        await until(whole, 20, lambda: sorted(s.name for s in collector.spans))
        (root,) = roots()
        assert (root.service, root.about["fingerpost.objects.count"], root.parent) == ("fingerpost-agent", 1, "")
        assert edited <= root.began
        await until(lambda: len([s for s in _of(collector, root) if s.name == "envoy.ack"]) == 3, 20)
        trace = _of(collector, root)
        server = ["mgmt.ingest", "mgmt.translate", "mgmt.publish", "mgmt.store"]
        assert {s.service for s in trace if s.name.startswith("mgmt.")} == {"fingerpost-mgmt"}
        counted = {name: len([s for s in trace if s.name == name]) for name in {s.name for s in trace}}
        assert counted == {
            "change.seen": 1,
            "agent.push": 1,
            **dict.fromkeys(server, 1),
            **dict.fromkeys(("agent.take", "agent.offer", "envoy.ack", "mgmt.applied"), 3),
        }
        for ack in (s for s in trace if s.name == "envoy.ack"):
            road = ["agent.offer", "agent.take", "mgmt.translate", "mgmt.ingest", "agent.push", "change.seen"]
            assert _ancestors(ack, trace) == road
        assert {s.about["fingerpost.cluster"] for s in trace if s.name == "envoy.ack"} == set(CLUSTERS)
        assert all(root.began <= s.began <= s.ended <= time.time_ns() for s in trace), "one machine, one clock"


def _of(collector: Collector, root: Span) -> list[Span]:
    return [s for s in collector.spans if s.trace == root.trace]


async def _metric(admin: int) -> dict[str, tuple[float, int]]:
    """By cluster: the sum and the count of `relay_propagation_seconds`."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://127.0.0.1:{admin}/metrics")).text
    found = {
        (kind, cluster): float(value)
        for kind, cluster, value in re.findall(
            r'^relay_propagation_seconds_(sum|count)\{.*?cluster="(\w+)".*?\} (\S+)$', text, re.MULTILINE
        )
    }
    return {c: (found.get(("sum", c), 0.0), int(found.get(("count", c), 0))) for c in CLUSTERS}


async def _trace(admin: int) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as client:
        body = (await client.get(f"http://127.0.0.1:{admin}/trace?kind=rt&namespace=shop&name=news")).json()
    return {c["name"]: c for item in body["items"] for c in item["clusters"]}


@pytest.mark.spec("M-80")
async def test_the_metric_agrees_with_a_stopwatch_outside(tmp_path: Path) -> None:
    """Also of a cluster whose Envoy stands still for a while. What is compared is the server's with ours."""
    async with running_fleet(tmp_path, *CLUSTERS) as fleet:
        fleet.write_world()
        server = await fleet.start_server()
        agents = [await fleet.start_agent(c, server.relay.port) for c in fleet.clusters]
        proxies = {agent.cluster: fleet.start_envoy(agent) for agent in agents}
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/hi", "hi")
        await until(lambda: all(s.watermark for s in server.publisher.arrivals.gateways.values()), 20)
        before = await _metric(server.admin_port)
        proxies["west"].signal(signal.SIGSTOP)
        began, took = time.time(), {}
        fleet.write("east", "news.yaml", m.table("news", [m.says("/news", "fresh")], host="news.example"))

        async def stopped(cluster: str) -> None:
            await fleet.answers(cluster, "/news", "fresh", host="news.example")
            took[cluster] = time.time() - began

        await asyncio.gather(stopped("east"), stopped("north"))

        async def late() -> bool:
            shown = await _trace(server.admin_port)
            return "has not acknowledged" in shown["west"]["gateways"][0]["reason"]

        await until(late, 30)
        proxies["west"].signal(signal.SIGCONT)
        await stopped("west")

        async def applied() -> bool:
            return all(c["applied"] for c in (await _trace(server.admin_port)).values())

        await until(applied, 20)
        after = await _metric(server.admin_port)
        for cluster in CLUSTERS:
            assert after[cluster][1] - before[cluster][1] == 1, cluster
            assert after[cluster][0] - before[cluster][0] == pytest.approx(took[cluster], abs=0.1), cluster
        assert took["west"] > 2 * took["east"], "or standing still was no difference"


async def test_what_cannot_be_sent_keeps_nobody_from_work_or_from_ending(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        nobody = f"http://127.0.0.1:{free_port()}"
        server = await fleet.start_server(otlp_endpoint=nobody)
        fleet.start_envoy(await fleet.start_agent("east", server.relay.port, otlp_endpoint=nobody))
        await fleet.answers("east", "/hi", "hi")
        fleet.write("mgmt", "news.yaml", m.table("news", [m.says("/news", "fresh")], host="news.example"))
        await fleet.answers("east", "/news", "fresh", host="news.example")


async def test_changes_that_share_a_turn_are_linked(tmp_path: Path) -> None:
    """Two clusters' agents see two changes while a turn is in flight: one turn takes both, and each trace finds it."""
    async with running_collector() as collector, running_fleet(tmp_path, "east", "west") as fleet:
        fleet.write_world()
        server = await fleet.start_server(otlp_endpoint=collector.endpoint)
        for cluster in fleet.clusters:
            fleet.start_envoy(await fleet.start_agent(cluster, server.relay.port, otlp_endpoint=collector.endpoint))
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/hi", "hi")
        gate, store = asyncio.Event(), server.ingest._store
        write = store.write

        async def held(*arguments: Any) -> Any:
            await gate.wait()
            return await write(*arguments)

        store.write = held  # type: ignore[method-assign]
        fleet.write("mgmt", "first.yaml", m.table("first", [m.says("/1", "1")], host="first.example"))
        await until(lambda: server.ingest.queues["changes"] == 0 and _has(server, "first"), 20)
        for cluster in fleet.clusters:
            fleet.write(cluster, "own.yaml", m.table(f"own-{cluster}", [m.says("/o", "o")], host=f"{cluster}.example"))
        await until(lambda: server.ingest.queues["changes"] == 2, 20)
        gate.set()

        def shared() -> list[Span]:
            return [s for s in collector.named("mgmt.translate", changes=2) if s.links]

        await until(shared, 20)
        (turn,) = shared()

        def seen() -> set[str]:
            return {s.trace for s in collector.named("change.seen") if "own-" in s.about["fingerpost.objects"]}

        await until(lambda: len(seen()) == 2, 20)
        roots = seen()
        assert {trace for trace, _ in turn.links} == roots
        assert turn.trace not in roots
        back = [s for s in collector.named("mgmt.turn") if s.links == ((turn.trace, turn.id),)]
        assert {s.trace for s in back} == roots
        await until(lambda: len([s for s in collector.named("mgmt.applied") if s.trace in roots]) == 4, 20)


def _has(server: Server, name: str) -> bool:
    return f"name='{name}'" in str(list(server.translator.inputs["networking.gloo.solo.io/RouteTable"].items))
