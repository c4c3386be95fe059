"""The server is killed: what it had said stays in force, and what changes within a cluster goes on. Then it is back."""

from __future__ import annotations

from demo.chapters.traffic import CASES, requests_quietly
from demo.client import Steady
from demo.folders import manifest, with_pod
from demo.paper import Paper
from demo.plane import Plane
from demo.waiting import until


def outage(plane: Plane, paper: Paper) -> None:
    ground = plane.ground
    cart = manifest(ground, "east", "cart")
    with Steady(plane.connection("east"), "/cart") as steady:
        plane.processes.kill("mgmt")
        paper.note("the server is killed (SIGKILL)")
        served = requests_quietly(plane)
        paper.check("all requests of chapter 1", f"{len(CASES)} as before", f"{served} as before")
        cart.write(with_pod(cart.text, "east", "cart", "cart-2", ground.address("127.0.2.12")))
        until(lambda: steady.answers["east/cart-2"], bool, "requests for the new pod")
        paper.check("a new pod of east while the server is down", "gets requests", "gets requests")
        before = {name: plane.held(name) for name in ground.clusters}
        plane.start_server()
        until(plane.ready, bool, "the server is back and all agents are connected")
        until(lambda: plane.run("cluster", "list", "-o", "json").code, lambda code: code == 0, "clusters are listed")
        paper.note("the server is back, all agents are connected")
        settled = plane.run("wait", "routetable", "shop/www", "--for", "applied", "--timeout", "20s")
        paper.check("fingerpost wait routetable shop/www", "exit code 0", f"exit code {settled.code}")
        after = {name: plane.held(name) for name in ground.clusters}
        for name in ground.clusters:
            had, has = before[name], after[name]
            paper.check(f"resources of {name}'s gateway", f"{had.resources}", f"{has.resources}")
            paper.check(
                f"{name}: what agent and Envoy hold",
                "nothing written, nothing sent again",
                "nothing written, nothing sent again" if had[2:] == has[2:] else _moved(had[2:], has[2:]),
            )
        seen, failed = steady.sent, len(steady.failed)
    paper.check("requests sent meanwhile", "0 failed", f"{failed} failed", right=not failed)
    paper.note(f"{seen} requests were sent from the kill to here")
    if steady.failed:
        paper.note(f"the first failure: {steady.failed[0]}")
    cart.put_back()


def _moved(had: tuple[str, ...], has: tuple[str, ...]) -> str:
    parts = [
        what for what, a, b in zip(("the agent's files", "Envoy's configuration"), had, has, strict=True) if a != b
    ]
    return f"{' and '.join(parts)} changed"
