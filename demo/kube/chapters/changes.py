"""Edits at the API server: how fast one is live at an Istio gateway and at a plain Envoy; what broken ones do."""

from __future__ import annotations

import statistics
from typing import Any

from demo.chapters.traffic import CASES, requests_quietly
from demo.client import timed
from demo.kube import manifests
from demo.kube.plane import MANAGEMENT, Plane
from demo.paper import Paper
from demo.waiting import until

_EDITS = 5
_SLOWEST = 2.0  # seconds; a bench says how fast it really is, this only says that it is prompt
_REFUSALS = (400, 422)  # bad request, unprocessable content
_TABLES = "/apis/networking.gloo.solo.io/v2/namespaces/shop/routetables"
_AS_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def edit(plane: Plane, paper: Paper) -> None:
    for cluster, what in (("east", "an Istio gateway"), (MANAGEMENT, "a plain Envoy")):
        took = [edited(plane, cluster, f"/basket-{i}") for i in range(_EDITS)]
        milliseconds = sorted(round(1000 * seconds) for seconds in took)
        came = f"median {statistics.median(milliseconds):.0f} ms ({', '.join(map(str, milliseconds))})"
        right = statistics.median(took) <= _SLOWEST
        said = f"{_EDITS} edits, from the API server's answer to the first right one of {cluster}, {what}"
        paper.check(said, f"median at most {_SLOWEST:.0f} s", came, right=right)
    put_back(plane)


def edited(plane: Plane, cluster: str, path: str) -> float:
    """Seconds until the cart is at the path at that gateway. Raises NoAnswer."""
    shop = plane.connection(cluster)
    plane.apply(MANAGEMENT, _www(path + f"-{cluster}"))
    try:
        return timed(lambda: None, lambda: shop.ask(path + f"-{cluster}").pod != "")
    finally:
        shop.close()


def put_back(plane: Plane) -> None:
    plane.apply(MANAGEMENT, _www("/cart"))
    until(lambda: requests_quietly(plane), lambda served: served == len(CASES), "all is as it was")


def broken(plane: Plane, paper: Paper) -> None:
    wrong, unknown = _sale({"matchers": [{"uri": {"prefix": 7}}]}), _sale({"forwardsTo": {}})
    for what, table, path in (
        ("a value of another type", wrong, "spec.http[0].matchers[0].uri.prefix"),
        ("a field that there is not", unknown, "spec.http[0].forwardsTo"),
    ):
        said = plane.create(MANAGEMENT, _TABLES, table)
        message = str(said.body.get("message", ""))
        came = f"refused, {path}" if said.status in _REFUSALS and path in message else f"{said.status} {message}"
        paper.check(what, f"refused, {path}", came)
        paper.note(f"the API server: {message}")
    lost = _sale({"forwardTo": {"destinations": [{"kind": "VIRTUAL_DESTINATION", "ref": {"name": "sales"}}]}})
    plane.apply(MANAGEMENT, lost)
    state = until(lambda: _state(plane, "sale"), bool, "the status of shop/sale")
    named = all(word in state.get("message", "") for word in ("http[0]", "shop/sales"))
    came = state["approval"] + (" with route and destination" if named else f" {state.get('message')}")
    paper.check("a destination that there is not: the status", "INVALID with route and destination", came)
    paper.quote("kubectl get routetables --namespace shop -o wide", columns(plane))
    served = requests_quietly(plane)
    paper.check("all requests of chapter 2 again", f"{len(CASES)} as before", f"{served} as before")
    plane.wait(plane.clusters[MANAGEMENT].kube.delete(lost))


def columns(plane: Plane) -> str:
    """What kubectl prints: the API server makes the table, of all columns those of `-o wide`."""
    table = plane.ask(MANAGEMENT, _TABLES, Accept=_AS_TABLE)
    rows = [[column["name"].upper() for column in table["columnDefinitions"]]]
    rows += [["" if cell is None else str(cell) for cell in row["cells"]] for row in table["rows"]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _www(path: str) -> dict[str, Any]:
    table = manifests.one(MANAGEMENT, "RouteTable", "www")
    next(route for route in table["spec"]["http"] if route["name"] == "cart")["matchers"] = [{"uri": {"prefix": path}}]
    return table


def _sale(route: dict[str, Any]) -> dict[str, Any]:
    """Another table of the same gateway, with one route."""
    table = _www("/cart")
    table["metadata"]["name"] = "sale"
    table["spec"] = {"hosts": ["sale.shop.example"], "virtualGateways": table["spec"]["virtualGateways"]}
    table["spec"]["http"] = [{"name": "sale", **route}]
    return table


def _state(plane: Plane, name: str) -> dict[str, str]:
    status = plane.ask(MANAGEMENT, f"{_TABLES}/{name}").get("status", {})
    found: dict[str, str] = status.get("common", {}).get("State", {})
    return found
