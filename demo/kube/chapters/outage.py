"""The server's pod is killed: gateways go on, and new pods of their own cluster get requests. Then it is back, and no
object is taken away or written again.
"""

from __future__ import annotations

import json

from demo.chapters.traffic import CASES, requests_quietly
from demo.client import Steady
from demo.kube import manifests
from demo.kube.chapters.changes import edited, put_back
from demo.kube.plane import ADMIN, ISTIO, MANAGEMENT, Plane
from demo.paper import Paper
from demo.waiting import until
from tests.kube.release import ready

_SERVER = "gloo-mesh-mgmt-server"
_ISTIO = {
    "gateways": "v1beta1",
    "virtualservices": "v1beta1",
    "destinationrules": "v1beta1",
    "envoyfilters": "v1alpha3",
    "serviceentries": "v1beta1",
    "workloadentries": "v1beta1",
}
_WITHIN = 60.0
_PAUSE = 0.01  # between requests: the machine has other work


def outage(plane: Plane, paper: Paper) -> None:
    _carts_in_management(plane)
    with (
        Steady(plane.connection("east"), "/cart", _PAUSE) as east,
        Steady(plane.connection(MANAGEMENT), "/cart", _PAUSE) as envoy,
    ):
        plane.scale(MANAGEMENT, ADMIN, _SERVER, 0)
        plane.delete_pods(MANAGEMENT, ADMIN, _SERVER, at_once=True)
        until(lambda: plane.pods(MANAGEMENT, ADMIN, _SERVER), lambda pods: not pods, "no server", within=_WITHIN)
        paper.note("the server's pod is killed, and there is no other")
        served = requests_quietly(plane)
        paper.check("all requests of chapter 2", f"{len(CASES)} as before", f"{served} as before")
        for cluster, steady, replicas in (("east", east, 3), (MANAGEMENT, envoy, 2)):
            known = set(steady.answers)
            plane.scale(cluster, "shop", "cart", replicas)
            new = until(lambda s=steady, k=known: set(s.answers) - k, bool, "a new pod", within=_WITHIN)  # type: ignore[misc]
            came = "gets requests" if all(name.startswith(f"{cluster}/cart-") for name in new) else f"{new}"
            paper.check(f"a new pod of {cluster} while no server runs", "gets requests", came)
        before = _istio(plane)
        plane.scale(MANAGEMENT, ADMIN, _SERVER, 1)
        plane.wait(ready(plane.clusters[MANAGEMENT], ADMIN, _SERVER, _WITHIN), 2 * _WITHIN)
        until(lambda: _connected(plane), lambda names: len(names) == 1 + len(ISTIO), "all agents", within=_WITHIN)
        paper.note("a new server is there, all agents are connected")
        settled = plane.run("wait", "routetable", "shop/www", "--for", "applied", "--timeout", "30s")
        paper.check("fingerpost wait routetable shop/www", "exit code 0", f"exit code {settled.code}")
        for cluster in ISTIO:
            came = _difference(before[cluster], _istio(plane)[cluster])
            paper.check(f"the {len(before[cluster])} Istio objects of {cluster}", "same uid, none written", came)
        sent, failed = east.sent + envoy.sent, east.failed + envoy.failed
    paper.check("requests sent meanwhile", "0 failed", f"{len(failed)} failed", right=not failed)
    paper.note(f"{sent} requests were sent to two gateways from the kill to here")
    if failed:
        paper.note(f"the first failure: {failed[0]}")
    took = edited(plane, "east", "/again")
    paper.check("an edit with the new server", "is live", "is live")
    paper.note(f"after {1000 * took:.0f} ms")
    put_back(plane)
    plane.scale("east", "shop", "cart", 2)


def _carts_in_management(plane: Plane) -> None:
    """So that the plain Envoy has pods in its own cluster, whose addresses its agent fills in by itself."""
    carts = [obj for obj in manifests.shop("east") if obj["metadata"]["name"] == "cart"]
    for obj in carts:
        if obj["kind"] == "Deployment":
            obj["spec"]["replicas"] = 1
            obj["spec"]["template"]["spec"]["containers"][0]["args"][2] = MANAGEMENT
    plane.apply(MANAGEMENT, manifests.one("east", "Service", "cart"), *carts)
    shop = plane.connection(MANAGEMENT)
    until(lambda: shop.ask("/cart").cluster, lambda c: c == MANAGEMENT, "/cart of mgmt answered there", within=_WITHIN)
    shop.close()


def _connected(plane: Plane) -> list[str]:
    """To the new server: it may take those of the one that was killed for connected until that one's lease is over."""
    ran = plane.run("cluster", "list", "-o", "json")
    if ran.code:
        return []
    return [cluster["name"] for cluster in json.loads(ran.output)["items"] if cluster["connectedHere"]]


def _istio(plane: Plane) -> dict[str, dict[str, str]]:
    """Cluster -> kind, namespace and name -> uid and version of what agents have written."""
    found: dict[str, dict[str, str]] = {}
    for cluster in ISTIO:
        found[cluster] = {}
        for kind, version in _ISTIO.items():
            for obj in plane.ask(cluster, f"/apis/networking.istio.io/{version}/{kind}")["items"]:
                meta = obj["metadata"]
                found[cluster][f"{kind} {meta['namespace']}/{meta['name']}"] = (
                    f"{meta['uid']} {meta['resourceVersion']}"
                )
    return found


def _difference(before: dict[str, str], after: dict[str, str]) -> str:
    gone, new = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    changed = sorted(name for name in before.keys() & after.keys() if before[name] != after[name])
    parts = [
        f"{what}: {', '.join(names)}" for what, names in (("gone", gone), ("new", new), ("written", changed)) if names
    ]
    return "; ".join(parts) or "same uid, none written"
