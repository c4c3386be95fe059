"""What an agent keeps of its gateways at its API server is there again after somebody has deleted or edited it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from agent.apply import xds_configs
from mgmt.app import Server
from mgmt.ingest.values import State
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import effective
from tests.fleet.fleet_network import until
from tests.kube.kube_fleet import KubeFleet, running_kube_fleet
from tests.kube.test_kube_road import _kept

_WHERE = f"/apis/internal.gloo.solo.io/v2/namespaces/{m.ADMIN_NAMESPACE}/xdsconfigs"


@pytest.mark.spec("M-9")
async def test_what_is_kept_is_mended_and_serves_the_next_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert xds_configs.LOOK_AGAIN + xds_configs.INTERVAL < 60
    monkeypatch.setattr(xds_configs, "LOOK_AGAIN", 0.5)
    async with running_kube_fleet(tmp_path, "east") as fleet:
        await fleet.apply_world()
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(fleet.server())
            agent = await stack.enter_async_context(fleet.agent("east", server.relay.port))
            _pace(agent, 0.1)
            await until(lambda: effective(agent), why="the agent serves")
            await until(lambda: _at_rest(server, agent), why="all that is to come has come")
            await until(lambda: _kept(fleet, agent), why="and keeps it")
            serves = effective(agent)
            await fleet.kubes["east"].http.delete(f"{_WHERE}/gw.ingress-0")
            await until(lambda: _kept(fleet, agent), why="what was deleted is back")
            await _empty(fleet)
            await until(lambda: _kept(fleet, agent), why="what was emptied is as it was")
            relay = server.relay.port
        said = capfd.readouterr()
        assert (said.out + said.err).count("apply.object.undone") == 2
        async with fleet.agent("east", relay) as alone:
            _pace(alone, 0.1)
            await until(lambda: alone.ready, why="it serves what the former has kept, without a server")
            assert effective(alone) == serves
            assert await _kept(fleet, alone), "the former has written its last word at its end"
            (before,) = await _specs(fleet)
            await fleet.kubes["east"].http.delete(f"{_WHERE}/gw.ingress-0")
            await until(lambda: _is(fleet, before), why="also what it has only read")


@pytest.mark.spec("M-9", "M-61")
async def test_a_leader_writes_what_it_serves_before_another_one_may(tmp_path: Path) -> None:
    async with running_kube_fleet(tmp_path, "east") as fleet, fleet.server() as server:
        await fleet.apply_world()
        async with fleet.agent("east", server.relay.port, leader_election=True) as agent:
            await until(lambda: effective(agent), why="the agent serves")
            await until(lambda: _kept(fleet, agent), why="and keeps it")
            _pace(agent, 3600.0)
            for path in ("/first", "/second"):  # one may come before that interval
                before = effective(agent)
                await fleet.apply("mgmt", fleet.www(path))
                await until(lambda: effective(agent) != before, why=f"the agent serves {path}")  # noqa: B023
            assert not await _kept(fleet, agent)
        assert await _kept(fleet, agent)


def _at_rest(server: Server, agent: Agent) -> bool:
    """Else a later version is written anew, and nothing needs to be mended."""
    return agent.push.in_step and server.ingest.states.clusters["east"].state is State.WARM


def _pace(agent: Agent, interval: float) -> None:
    """By itself at most every five seconds (relay.md §2.2)."""
    objects = agent._keeper._objects  # type: ignore[attr-defined]
    assert objects._interval == 5.0
    objects._interval = interval


async def _specs(fleet: KubeFleet) -> list[Any]:
    return [one.get("spec") for one in (await fleet.kubes["east"].http.get(_WHERE)).json()["items"]]


async def _is(fleet: KubeFleet, wanted: Any) -> bool:
    return await _specs(fleet) == [wanted]


async def _empty(fleet: KubeFleet) -> None:
    patched = await fleet.kubes["east"].http.patch(
        f"{_WHERE}/gw.ingress-0",
        json={"spec": None},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert patched.is_success, patched.text
    assert "spec" not in patched.json()
