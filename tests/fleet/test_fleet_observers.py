"""Who only reads a cluster's desired state, as a UI does, is no agent of it (C-12)."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fingerpost.relay.v1 import relay_pb2 as pb
from tests.fleet.fleet_harness import Fleet, running_fleet
from tests.fleet.fleet_network import until
from tests.unit.relay.support import Agent as Reader
from tests.unit.relay.support import running


async def gauge(fleet: Fleet, admin: int, name: str) -> float:
    text = await fleet.client.text(admin, "/metrics")
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return sum(s.value for s in samples if s.name == name and s.labels.get("cluster") == "east")


async def said(fleet: Fleet, admin: int) -> set[str]:
    """The codes of what `check` finds."""
    sections = (await fleet.client.json(admin, "/check"))["sections"]
    assert isinstance(sections, list)
    return {one["code"] for section in sections for one in section["findings"] if "east" in one["message"]}


async def is_connected(fleet: Fleet, admin: int) -> bool:
    (shown,) = (await fleet.client.json(admin, "/clusters"))["clusters"]  # type: ignore[misc]  # a list
    return bool(shown["connected"])


@pytest.mark.fleet
@pytest.mark.redis
@pytest.mark.spec("C-12")
async def test_an_observer_of_a_cluster_is_no_agent_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        server = await fleet.start_server(insecure=True)
        admin = server.admin_port
        async with fleet.agent("east", server.relay.port, insecure=True) as agent:
            await until(lambda: is_connected(fleet, admin), why="an agent counts")
            await until(lambda: agent.push.in_step, why="and tells whose it is")
            uid = agent.link._identity.cluster_uid
        observer = Reader(f"127.0.0.1:{server.relay.port}")
        observer.link.leads = lambda: False  # it pushes nothing
        hello = observer.link._hello

        def as_observer() -> pb.Hello:
            found = hello()
            found.role, found.cluster_uid = "observer", uid
            return found

        monkeypatch.setattr(observer.link, "_hello", as_observer)
        async with running(observer):
            await until(lambda: observer.pull.connected and observer.versions, why="the observer is served")
            assert await gauge(fleet, admin, "relay_pull_clients_connected") == 1
            assert await gauge(fleet, admin, "relay_push_clients_connected") == 0
            assert not await is_connected(fleet, admin)
            assert "CHK041" in await said(fleet, admin)
            async with fleet.agent("east", server.relay.port, insecure=True):
                await until(lambda: is_connected(fleet, admin), why="an agent counts")
                await until(lambda: gauge(fleet, admin, "relay_push_clients_connected"), why="an agent pushes")
                assert "CHK041" not in await said(fleet, admin)

            async def alone() -> bool:
                return not await is_connected(fleet, admin) and "CHK041" in await said(fleet, admin)

            await until(alone, why="the agent has gone, the observer has not")
            assert await gauge(fleet, admin, "relay_pull_clients_connected") == 1
