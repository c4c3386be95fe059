"""From empty API servers to the first answered request, with what a person has: Helm, the command line, manifests."""

from __future__ import annotations

import time

from demo.chapters.traffic import arrived
from demo.kube.plane import ADMIN, ISTIO, MANAGEMENT, Plane
from demo.kube.world import World
from demo.paper import Paper
from tests.kube.release import pods

_APPS = ("gloo-mesh-mgmt-server", "gloo-mesh-redis", "gloo-mesh-agent")


async def install(world: World, paper: Paper) -> None:
    await world.start_istio()
    paper.note(f"istiod runs in {' and '.join(ISTIO)}")
    began = time.monotonic()
    await world.install()
    counts = [len(await pods(world.clusters[MANAGEMENT], ADMIN, app)) for app in _APPS]
    paper.check(f"helm install of both charts in {MANAGEMENT}", _pods([1, 1, 1]), _pods(counts))
    paper.note(f"{time.monotonic() - began:.1f} s")


def _pods(counts: list[int]) -> str:
    return ", ".join(f"{count} {app}" for app, count in zip(_APPS, counts, strict=True))


def register(plane: Plane, paper: Paper) -> None:
    for cluster in ISTIO:
        order = ("cluster", "register", cluster, "--kubecontext", MANAGEMENT, "--remote-context", cluster)
        ran = plane.run(*order, "--label", "tier=workload")
        paper.quote(f"fingerpost {' '.join(order)} --label tier=workload", ran.output)
        paper.check(f"fingerpost cluster register {cluster}", "exit code 0", f"exit code {ran.code}")


async def apply(world: World, paper: Paper) -> None:
    await world.apply_examples()
    await world.gateways_ready()
    paper.note(f"kubectl apply of examples/; gateways: {MANAGEMENT} a plain Envoy, {' and '.join(ISTIO)} of Istio")


def first_answers(plane: Plane, paper: Paper) -> None:
    began = time.monotonic()
    arrived(plane)
    paper.note(f"gateways answer {time.monotonic() - began:.1f} s after their pods are ready")
