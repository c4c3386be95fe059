"""An agent in a cluster of many objects: how long until the server has all of it, how much memory it takes, and whether
it writes anything while nothing happens.

`python -m bench.agent OBJECTS IDLE_SECONDS`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from bench.figures import emit, say
from bench.kube import CLUSTER, agent, begin_world, management, run
from bench.processes import fetch
from tests.fleet import fleet_manifests as m
from tests.kube.api_server import running_api_server
from tests.kube.kube_client import KubeClient, namespace

_AT_ONCE = 20


async def _fill(kube: KubeClient, count: int) -> None:
    """A third Services, a third Pods, a third EndpointSlices, one of each for each other, beside a gateway."""
    await begin_world(kube)
    await kube.apply(namespace("gw"), m.virtual_gateway())
    await kube.apply(m.table("www", [m.says("/hi", "hi")]), *m.gateway(CLUSTER, "192.0.2.33"))
    several = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> None:
        async with several:
            own, *rest = m.service(CLUSTER, f"app-{number}", [f"192.0.2.{40 + number % 200}"])
            own["spec"]["clusterIP"] = "None"  # the API server has addresses for 254 Services
            await kube.apply(own, *rest)

    async with asyncio.TaskGroup() as group:
        for number in range(count // 3):
            group.create_task(one(number), name="bench.fill")


async def _versions(kube: KubeClient) -> dict[str, str]:
    """uid -> resourceVersion of everything but Leases, which are renewed."""
    roots = ["/api/v1"]
    for group in (await kube.http.get("/apis")).json()["groups"]:
        roots.append(f"/apis/{group['preferredVersion']['groupVersion']}")
    found: dict[str, str] = {}
    for root in roots:
        for resource in (await kube.http.get(root)).json()["resources"]:
            if "list" in resource["verbs"] and resource["name"] != "leases":
                items: list[dict[str, Any]] = (await kube.http.get(f"{root}/{resource['name']}")).json()["items"]
                found |= {
                    i["metadata"]["uid"]: i["metadata"]["resourceVersion"] for i in items if "uid" in i["metadata"]
                }
    return found


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def _held(admin: int) -> tuple[str, int]:
    """(state, objects) of the cluster at the server."""
    found = fetch(f"http://127.0.0.1:{admin}/clusters")
    one = next(c for c in found["clusters"] if c["name"] == CLUSTER)
    return one["state"], one["objects"]


async def measure(root: Path, count: int, idle: int) -> None:
    async with running_api_server(CLUSTER, root / "api") as server, KubeClient(server) as kube:
        say("filling the cluster")
        await _fill(kube, count)
        with management(root, server) as served:
            began = time.perf_counter()
            with agent(root, server, served) as (pid, _):
                while (await asyncio.to_thread(_held, served["admin"]))[0] != "Warm":
                    await asyncio.sleep(0.01)
                synced = time.perf_counter() - began
                say("in sync; waiting for memory to settle")
                await asyncio.sleep(20)
                before = await _versions(kube)
                await asyncio.sleep(idle)
                after = await _versions(kube)
                written = {uid for uid in before.keys() | after.keys() if before.get(uid) != after.get(uid)}
                emit(
                    "agent",
                    objects=len(before),
                    start_s=round(synced, 2),
                    resident_mb=round(_resident_mb(pid), 1),
                    idle_s=idle,
                    objects_written=len(written),
                )


if __name__ == "__main__":
    sys.exit(run("bench.agent", measure))
