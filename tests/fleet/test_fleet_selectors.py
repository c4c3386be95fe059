"""Istio's discovery selectors, from a mesh configuration to what is served: what is narrowed on purpose goes, and large
losses still wait for a new listing.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
import yaml

from agent.app import Agent
from mgmt.app import Server
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, running_fleet
from tests.fleet.fleet_network import steadily, until

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis, pytest.mark.spec("M-7")]
_TABLES = 12
_HOLD = 1.0  # seconds in which a deletion would long have come


def _space(name: str, **labels: str) -> m.Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _mesh(*selectors: m.Object) -> m.Object:
    config = yaml.safe_dump({"discoverySelectors": list(selectors)})
    return m.core("ConfigMap", "istio-system", "istio", data={"mesh": config})


def _of(server: Server, cluster: str, namespace: str) -> set[str]:
    """Kinds of the objects that the server has of a namespace of a cluster."""
    inputs = server.ingest.inputs
    return {
        type_.rpartition("/")[2]
        for type_ in inputs.types(cluster)
        for space, _ in inputs.of(cluster, type_)
        if space == namespace
    }


async def _start(fleet: Fleet, *more: m.Object) -> tuple[Server, Agent]:
    """A table of its own and a service in `shop` of east, which bears no label; `gw` bears one."""
    fleet.write_world()
    await fleet.backend("east")
    fleet.write("east", "spaces.yaml", _space("gw", mesh="on"), _space("shop"))
    if more:
        fleet.write("east", "tables.yaml", *more)
    server = await fleet.start_server()
    agent = await fleet.start_agent("east", server.relay.port)
    fleet.start_envoy(agent)
    await fleet.answers("east", "/hi", "hi")
    return server, agent


async def test_a_namespace_is_left_out_and_comes_back(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        server, agent = await _start(fleet, m.table("own", [m.says("/hi", "own")]))
        await fleet.answers("east", "/cart", "east 0")
        await fleet.answers("east", "/hi", "own", host="own.example")
        assert _of(server, "east", "shop") == {"Service", "ServiceFacts", "RouteTable"}

        fleet.write("east", "mesh.yaml", _mesh({"matchLabels": {"mesh": "on"}}))
        await until(lambda: _of(server, "east", "shop") == set(), why="shop is left out")
        assert _of(server, "east", "gw") >= {"Service", "DiscoveredGateway"}

        async def gone() -> bool:
            return (await fleet.get("east", "/hi", "own.example")).status == 404

        await until(gone, why="its table is served no longer")
        assert (await fleet.get("east", "/hi")).text == "hi", "tables of other clusters are"

        fleet.write("east", "spaces.yaml", _space("gw", mesh="on"), _space("shop", mesh="on"))
        await fleet.answers("east", "/cart", "east 0")
        await fleet.answers("east", "/hi", "own", host="own.example")
        fleet.write("east", "mesh.yaml", m.core("ConfigMap", "istio-system", "istio", data={"mesh": "a: ["}))
        await until(lambda: "MeshConfigUnreadable" in str(agent.findings()), why="the agent says so")
        assert "RouteTable" in _of(server, "east", "shop")


async def test_a_large_loss_by_selectors_waits_for_a_new_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing tells that it is meant: nobody has to release anything."""
    async with running_fleet(tmp_path, "east") as fleet:
        tables = [m.table(f"t{n}", [m.says("/who", f"t{n}")]) for n in range(_TABLES)]
        server, _ = await _start(fleet, *tables)

        async def served() -> set[int]:
            found = {n: (await fleet.get("east", "/who", f"t{n}.example")).text for n in range(_TABLES)}
            return {n for n, text in found.items() if text == f"t{n}"}

        async def all_served() -> bool:
            return len(await served()) == _TABLES

        await until(all_served, why="all tables are served")
        asked: list[Collection[str]] = []
        monkeypatch.setattr(server.publisher._holds, "_relist", asked.append)  # the listing is on its way
        fleet.write("east", "mesh.yaml", _mesh({"matchLabels": {"mesh": "on"}}))
        await until(lambda: asked, why="the guard asks for a new listing")
        assert _of(server, "east", "shop") == set(), "the input is left out at once"
        await steadily(all_served, _HOLD, "a large loss went out before the new listing")
        monkeypatch.undo()
        for clusters in asked:
            server.relisting.demand(clusters)

        async def none_served() -> bool:
            return await served() == set()

        await until(none_served, why="the new listing agrees")
        await until(lambda: not server.publisher.held, why="no guard holds anything any more")


async def test_a_gateway_that_is_left_out_goes_when_a_listing_agrees(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        server, agent = await _start(fleet)
        fleet.write("east", "mesh.yaml", _mesh({"matchLabels": {"mesh": "nowhere"}}))
        await until(lambda: _of(server, "east", "gw") == set(), why="the gateway is left out")
        await until(lambda: ("east", GATEWAY) not in server.publisher.arrivals.gateways, why="it is no gateway now")

        async def silent() -> bool:
            return (await fleet.get("east", "/hi")).status != 200

        await until(silent, why="it is told nothing any more", timeout=30)
        assert agent.findings() == []
