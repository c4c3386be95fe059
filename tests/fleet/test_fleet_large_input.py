"""Input that is larger than anybody should write: what fits is served, what does not is named with the limit, and the
rest is not disturbed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fingerpost.api.limits import LARGEST_OBJECT, MOST_ROUTES
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet, running_fleet
from tests.fleet.fleet_network import until

pytestmark = [pytest.mark.fleet, pytest.mark.redis, pytest.mark.envoy]
_PATIENCE = 60


def _routes(name: str, count: int) -> m.Object:
    return m.table(name, [m.says(f"/p{i}", f"{name} {i}") | {"name": f"r{i}"} for i in range(count)])


def _fat(name: str) -> m.Object:
    """5 MB, more than one message of the relay takes."""
    return m.table(name, [m.says(f"/p{i}", str(i) * 1_000_000) | {"name": f"r{i}"} for i in range(5)])


def _noted(obj: m.Object) -> m.Object:
    return obj | {"metadata": obj["metadata"] | {"annotations": {"note": "x" * 1_000_000}}}


async def _says(fleet: Fleet, port: int, path: str, *words: str) -> None:
    said = ""

    async def told() -> bool:
        nonlocal said
        said = await fleet.client.text(port, path)
        return all(word in said for word in words)

    await until(told, _PATIENCE, why=lambda: f"{path}: {words} in {said[:2000]}")


@pytest.mark.spec("M-71")
@pytest.mark.parametrize("home", ["mgmt", "east"])
async def test_large_objects_are_served_or_named_and_the_others_go_on(tmp_path: Path, home: str) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        fleet.write("mgmt", "small.yaml", m.table("small", [m.says("/who", "small")]))
        server = await fleet.start_server()
        agent = await fleet.start_agent("east", server.relay.port)
        fleet.start_envoy(agent)
        await fleet.answers("east", "/who", "small", host="small.example")

        fleet.write(home, "many.yaml", _routes("many", MOST_ROUTES))
        fleet.write(home, "too-many.yaml", _routes("too-many", MOST_ROUTES + 1))
        fleet.write(home, "fat.yaml", _fat("fat"))
        fleet.write(home, "noted.yaml", _noted(m.table("noted", [m.says("/who", "x")])))
        config = m.core("ConfigMap", "shop", "huge", data={"k": "x" * LARGEST_OBJECT})
        fleet.write("east", "cluster.yaml", config, _noted(m.service("east", "noted", [fleet.pod("east", 7)])[0]))
        fleet.write("mgmt", "small.yaml", m.table("small", [m.says("/who", "edited")]))
        await fleet.answers("east", "/who", "edited", host="small.example")

        await fleet.answers("east", "/p9999", "many 9999", _PATIENCE, host="many.example")
        await fleet.answers("east", "/p4", "4" * 1_000_000, _PATIENCE, host="fat.example")
        await _says(
            fleet,
            server.admin_port,
            "/objects?kind=routetable&name=too-many&detail=true",
            f"at most {MOST_ROUTES} entries are allowed, found {MOST_ROUTES + 1}",
        )
        for name in ("ConfigMap shop/huge", 'Service \\"noted\\"'):
            await _says(fleet, agent.admin_port, "/findings", name, "cluster.yaml", "bytes", "at most")
        where = (server.admin_port, "/check") if home == "mgmt" else (agent.admin_port, "/findings")
        await _says(fleet, *where, "noted.yaml", 'RouteTable \\"noted\\"', "metadata.annotations")
        assert (await fleet.get("east", "/hi")).text == "hi"

        fleet.write(home, "fat.yaml", m.table("fat", [m.says("/p4", "slim")]))
        await fleet.answers("east", "/p4", "slim", _PATIENCE, host="fat.example")
