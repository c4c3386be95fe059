"""An agent in a cluster of many objects: how long until the server has all of it, how much memory it takes, and whether
it writes anything while nothing happens.

`python -m bench.agent OBJECTS IDLE_SECONDS`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.figures import emit, say
from bench.processes import fetch, running
from fingerpost.crd.definition import definition
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube import inside
from tests.kube.api_server import running_api_server
from tests.kube.kube_client import KubeClient, namespace
from tests.kube.kube_fleet import stored_kinds

CLUSTER = "mgmt"
_AT_ONCE = 20


async def _fill(kube: KubeClient, count: int) -> None:
    """A third Services, a third Pods, a third EndpointSlices, one of each for each other, beside a gateway."""
    crds = [definition(kind) for kind in stored_kinds()]
    await kube.apply(*crds, namespace(m.ADMIN_NAMESPACE), namespace("gw"), namespace("shop"))
    for crd in crds:
        await until(lambda crd=crd: kube.established(crd), why=crd["metadata"]["name"])  # type: ignore[misc]
    await kube.apply(m.registered(CLUSTER), m.workspace(), m.virtual_gateway())
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
        shared = {"cluster": CLUSTER, "kubeconfig": server.kubeconfig(), "insecure": "true"}
        shared["admin_address"] = "127.0.0.1:0"
        state = {"state_dir": root / "state" / "mgmt", "relay_address": "127.0.0.1:0"}
        with running("mgmt", root, "mgmt.server.ready", **shared, **state) as (_, management):
            state = {"state_dir": root / "state" / "agent", "xds_address": "127.0.0.1:0"}
            state["server_address"] = f"127.0.0.1:{management['relay']}"
            began = time.perf_counter()
            with running("agent", root, "agent.ready", **shared, **state) as (pid, _):
                while (await asyncio.to_thread(_held, management["admin"]))[0] != "Warm":
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


def main() -> int:
    count, idle = (int(word) for word in sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="fingerpost-bench-") as folder:
        asyncio.run(measure(Path(folder), count, idle))
    return 0


if __name__ == "__main__":
    if sys.argv[3:] == ["--inside"]:
        sys.exit(main())
    if lacking := inside.missing():
        say(f"nothing was measured: {lacking}")
        sys.exit(0)
    sys.exit(inside.run("bench.agent", *sys.argv[1:], "--inside"))
