"""Istio's discovery selectors on a real API server: the mesh configuration is a ConfigMap that is read by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mgmt.app import Server
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube.kube_client import namespace
from tests.kube.kube_fleet import running_kube_fleet


def _mesh(name: str, *selectors: m.Object) -> m.Object:
    config = yaml.safe_dump({"rootNamespace": "istio-system", "discoverySelectors": list(selectors)})
    return m.core("ConfigMap", "istio-system", name, data={"mesh": config})


def _namespaces(server: Server) -> set[str]:
    """Of the objects that the server has of east."""
    inputs = server.ingest.inputs
    return {space for type_ in inputs.types("east") for space, _ in inputs.of("east", type_) if space}


@pytest.mark.spec("M-7")
async def test_a_namespace_is_left_out_and_comes_back(tmp_path: Path) -> None:
    async with running_kube_fleet(tmp_path, "east") as fleet:
        kube = fleet.kubes["east"]
        await fleet.apply_world()
        await fleet.backend("east")
        await kube.apply(namespace("istio-system"), namespace("gw", mesh="on"))
        await kube.apply(m.table("own", [m.says("/hi", "own")]), _mesh("other", {"matchLabels": {"mesh": "off"}}))
        server = await fleet.start_server()
        agent = await fleet.start_agent("east", server.relay.port)
        fleet.start_envoy(agent)
        await fleet.answers("east", "/cart", "east 0")
        await fleet.answers("east", "/hi", "own", host="own.example")

        await kube.apply(_mesh("istio", {"matchLabels": {"mesh": "on"}}))
        await until(lambda: _namespaces(server) == {"gw"}, 5, "nothing else has the label (M-7: 5 s)")

        async def gone() -> bool:
            return (await fleet.get("east", "/hi", "own.example")).status == 404

        await until(gone, why="what it put on the gateway is gone")

        await kube.apply(namespace("shop", mesh="on"))
        await until(lambda: _namespaces(server) == {"gw", "shop"}, 5, "by its label (M-7: 5 s)")
        await fleet.answers("east", "/hi", "own", host="own.example")

        await kube.apply(namespace("shop"))
        await until(lambda: _namespaces(server) == {"gw"}, 5, "without it again")
        await kube.delete(_mesh("istio"))
        await until(lambda: {"gw", "shop"} <= _namespaces(server), 5, "a mesh that looks at everything")
        await until(lambda: agent.findings() == [], why="nothing is wrong")  # an API server that begins says 429


@pytest.mark.spec("M-7")
async def test_an_agent_that_starts_tells_nothing_of_what_is_left_out(tmp_path: Path) -> None:
    """Its first listing waits for the mesh configuration."""
    async with running_kube_fleet(tmp_path, "east") as fleet:
        await fleet.apply_world()
        await fleet.kubes["east"].apply(namespace("istio-system"), _mesh("istio", {"matchLabels": {"mesh": "on"}}))
        await fleet.kubes["east"].apply(
            namespace("shop", mesh="on"), m.table("hidden", [m.says("/hi", "no")], namespace="gw")
        )
        server = await fleet.start_server()
        told: set[str] = set()
        accept = server.ingest.accept

        def heard(cluster: str, fence: object, type_: str, upserts: list[tuple[str, str]], *rest: object) -> None:
            told.update(upsert[0] for upsert in upserts)
            accept(cluster, fence, type_, upserts, *rest)  # type: ignore[arg-type]

        server.ingest.accept = heard  # type: ignore[assignment,method-assign]
        agent = await fleet.start_agent("east", server.relay.port)
        await until(lambda: agent.push.in_step, why="the agent has told everything")
        assert told - {""} == {"shop"}
