"""From empty API servers to the first answered request, with what a person has: Helm, the command line, manifests."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from demo.chapters.traffic import CASES, arrived, requests_quietly
from demo.kube.plane import ADMIN, ISTIO, MANAGEMENT, Plane
from demo.kube.world import World
from demo.paper import Paper
from demo.waiting import NotInTime, until
from tests.kube.release import pods

_APPS = ("gloo-mesh-mgmt-server", "gloo-mesh-redis", "gloo-mesh-agent")

_REGISTER = ("--kubecontext", MANAGEMENT, "cluster", "register")


async def install(world: World, paper: Paper) -> None:
    began = time.monotonic()
    await asyncio.gather(world.start_istio(), world.install())
    counts = [len(await pods(world.clusters[MANAGEMENT], ADMIN, app)) for app in _APPS]
    paper.check(f"helm install of both charts in {MANAGEMENT}", _pods([1, 1, 1]), _pods(counts))
    paper.note(f"{time.monotonic() - began:.1f} s; istiod runs in {' and '.join(ISTIO)}")


def _pods(counts: list[int]) -> str:
    return ", ".join(f"{count} {app}" for app, count in zip(_APPS, counts, strict=True))


def register(plane: Plane, paper: Paper) -> None:
    orders = [(*_REGISTER, cluster, "--remote-context", cluster, "--label", "tier=workload") for cluster in ISTIO]
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda order: plane.run(*order), orders))
    for order, ran in zip(orders, answers, strict=True):
        paper.quote(f"fingerpost {' '.join(order)}", ran.output)
        paper.check(f"fingerpost cluster register {order[len(_REGISTER)]}", "exit code 0", f"exit code {ran.code}")


async def apply(world: World, paper: Paper) -> None:
    await world.apply_examples()
    await world.gateways_ready()
    paper.note(f"kubectl apply of examples/; gateways: {MANAGEMENT} a plain Envoy, {' and '.join(ISTIO)} of Istio")


def first_answers(plane: Plane, paper: Paper) -> None:
    began = time.monotonic()
    arrived(plane)
    with suppress(NotInTime):  # the next chapter tells which
        until(lambda: requests_quietly(plane), lambda served: served == len(CASES), "all requests", within=60)
    paper.note(f"gateways answer {time.monotonic() - began:.1f} s after their pods are ready")
