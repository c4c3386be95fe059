"""How long a change takes from one API server to another, in a fleet of the size that users have (M-15)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import world
from bench.bare import bare_agents
from bench.figures import percentile
from bench.processes import AgentGroup
from mgmt.app import Server
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube.istio_clusters import istio_gateway, written
from tests.kube.istiod import install_crds
from tests.kube.kube_fleet import KubeFleet, running_kube_fleet

EAST = "east"
OTHERS = [f"c{number}" for number in range(49)]
OBJECTS = 2000
EDITS = 100
_AT_ONCE = 20


def _filler() -> list[m.Object]:
    """As many Services, Pods and EndpointSlices as a cluster has besides its gateway. Headless: the API server has
    addresses for 254 Services.
    """
    made: list[m.Object] = []
    for number in range(OBJECTS // 3 + 1):
        own, *rest = m.service(EAST, f"app-{number}", [f"192.0.2.{40 + number % 200}"])
        own["spec"]["clusterIP"] = "None"
        made += [own, *rest]
    return made[:OBJECTS]


async def _fill(fleet: KubeFleet) -> None:
    several = asyncio.Semaphore(_AT_ONCE)

    async def one(obj: m.Object) -> None:
        async with several:
            await fleet.apply(EAST, obj)

    async with asyncio.TaskGroup() as group:
        for obj in _filler():
            group.create_task(one(obj), name="test.fill")


@contextmanager
def _others(root: Path, port: int) -> Iterator[None]:
    """Agents of folders, in processes of their own and without proxies: nobody looks at what is served there."""
    m.write(root / "filler.yaml", *_filler())
    for name in OTHERS:
        world.write_cluster(root, name)
        (root / name / "filler.yaml").hardlink_to(root / "filler.yaml")
    groups = [AgentGroup(root, OTHERS[i::2], port, bare_agents) for i in range(2)]
    try:
        for group in groups:
            group.wait_ready()
            group.pipe.send(("go", frozenset(OTHERS)))
        yield
    finally:
        for group in groups:
            group.close()


async def _warm(fleet: KubeFleet, server: Server) -> bool:
    found = (await fleet.client.json(server.admin_port, "/clusters"))["clusters"]
    assert isinstance(found, list)
    return sum(c["state"] == "Warm" and not c.get("behind") for c in found) > len(OTHERS)


async def _has(fleet: KubeFleet, path: str) -> bool:
    return any(f"'{path}'" in str(obj["spec"]) for obj in (await written(fleet, EAST, "VirtualService")).values())


@pytest.mark.alone
@pytest.mark.timeout(600)
@pytest.mark.spec("M-15")
async def test_a_change_is_written_in_two_seconds_with_fifty_clusters(tmp_path: Path) -> None:
    async with running_kube_fleet(tmp_path, EAST, limit=500) as fleet:
        await install_crds(fleet.kubes[EAST])
        registered = [m.registered(name) for name in (EAST, *OTHERS)]
        await fleet.apply("mgmt", *registered, m.workspace(), m.virtual_gateway(), m.virtual_destination("cart"))
        await fleet.apply("mgmt", fleet.www("/cart"))
        await fleet.apply(EAST, *istio_gateway(EAST, fleet.address(EAST)), *m.service(EAST, "cart", [fleet.pod(EAST)]))
        await _fill(fleet)
        server = await fleet.start_server(insecure=True)
        with _others(tmp_path / "others", server.relay.port):
            await fleet.start_agent(EAST, server.relay.port, insecure=True)
            await until(lambda: _warm(fleet, server), 240, "all fifty clusters are warm")
            await until(lambda: _has(fleet, "/cart"), 60, "the first state is written")
            took = []
            for number in range(EDITS):
                path = f"/edit-{number}"
                began = time.monotonic()
                await fleet.apply("mgmt", fleet.www(path))
                await until(lambda path=path: _has(fleet, path), 60, path)
                took.append(time.monotonic() - began)
    assert percentile(took, 0.99) < 2.0, sorted(took)[-5:]
