"""Those rows of relay.md §11 that are about API servers: they fail, and requests through the gateways do not."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from tests.fleet import fleet_manifests as m
from tests.fleet.failing_plane import CLUSTERS, unharmed
from tests.fleet.fleet_network import until
from tests.kube.kube_fleet import KubeFleet, running_kube_fleet

_LIMIT = 900 * 1024  # of one object; an API server takes a little more
_BODY = 600 * 1024  # three of these are more than an API server takes in one object


@asynccontextmanager
async def no_management_api(fleet: KubeFleet) -> AsyncIterator[None]:
    await fleet.servers["mgmt"].stop()
    yield
    # What is written in the other clusters still takes effect.
    await fleet.apply("east", m.table("meanwhile", [m.says("/", "meanwhile")]))
    await fleet.answers("west", "/", "meanwhile", 40, host="meanwhile.example")
    await fleet.servers["mgmt"].start()


@asynccontextmanager
async def no_workload_api(fleet: KubeFleet) -> AsyncIterator[None]:
    await fleet.servers["east"].stop()
    yield
    await fleet.servers["east"].start()


@asynccontextmanager
async def too_large_an_output(fleet: KubeFleet) -> AsyncIterator[None]:
    """What the agent keeps for its Envoys in the cluster is split."""
    random = Random(7)
    for number in range(3):
        body = base64.b64encode(random.randbytes(_BODY)).decode()  # what is kept is compressed, and this cannot be
        await fleet.apply("mgmt", m.table(f"large-{number}", [m.says("/", body)]))
        await fleet.answers("east", "/", body, 40, host=f"large-{number}.example")

    async def is_split() -> bool:
        found = (await fleet.kubes["east"].http.get("/apis/internal.gloo.solo.io/v2/xdsconfigs")).json()
        sizes = [len(json.dumps(item)) for item in found["items"]]
        assert all(size < _LIMIT for size in sizes), sizes
        return len(sizes) > 1

    await until(is_split, 40, "more than one object holds it")
    yield


Cause = Callable[[KubeFleet], AbstractAsyncContextManager[None]]
CAUSES: tuple[Cause, ...] = (no_management_api, no_workload_api, too_large_an_output)


@pytest.mark.timeout(400)
@pytest.mark.spec("M-71")
async def test_requests_do_not_notice(tmp_path: Path) -> None:
    async with running_kube_fleet(tmp_path, *CLUSTERS, limit=350) as fleet:
        await fleet.apply_world()
        for cluster in CLUSTERS:
            await fleet.backend(cluster)
        server = await fleet.start_server()
        for cluster in CLUSTERS:
            fleet.start_envoy(await fleet.start_agent(cluster, server.relay.port))
        for cluster in CLUSTERS:
            for other in CLUSTERS:
                await fleet.answers(cluster, "/cart", f"{other} 0", 40)
        for number, cause in enumerate(CAUSES):
            async with cause(fleet):
                await unharmed(fleet)
            text = f"after {number}"
            await fleet.apply("mgmt", m.table("probe", [m.says("/", text)]))
            for cluster in CLUSTERS:
                await fleet.answers(cluster, "/", text, 60, host="probe.example")
