"""Edits: how fast one is live, and what a broken one costs."""

from __future__ import annotations

import statistics

from demo.chapters.traffic import CASES, requests_quietly
from demo.client import timed
from demo.folders import manifest
from demo.paper import Paper
from demo.plane import Plane
from demo.waiting import until

_EDITS = 9
_SLOWEST = 1.0  # seconds; a bench says how fast it really is, this only says that it is prompt
_BROKEN = "  - name: cart\n    matchers\n"


def edit(plane: Plane, paper: Paper) -> None:
    """The path of a route in the management cluster's folder, until east's gateway answers on the new path."""
    table, shop = manifest(plane.ground, "mgmt", "route-www"), plane.connection("east")
    took = []
    for i in range(_EDITS):
        path = f"/basket-{i}"
        text = table.text.replace("uri: {prefix: /cart}", f"uri: {{prefix: {path}}}")
        took.append(timed(lambda text=text: table.write(text), lambda path=path: shop.ask(path).pod != ""))  # type: ignore[misc]
    table.put_back()
    until(lambda: shop.ask("/cart").pod, bool, "/cart is back")
    shop.close()
    milliseconds = sorted(round(1000 * seconds, 1) for seconds in took)
    came = f"median {statistics.median(milliseconds):.0f} ms ({', '.join(f'{m:.0f}' for m in milliseconds)})"
    right = statistics.median(took) <= _SLOWEST
    paper.check(
        f"{_EDITS} edits, file written to first right answer", f"median at most {_SLOWEST:.0f} s", came, right=right
    )


def broken(plane: Plane, paper: Paper) -> None:
    table = manifest(plane.ground, "mgmt", "route-www")
    table.write(table.text.replace("  - name: cart\n    matchers:\n", _BROKEN))
    found = until(lambda: plane.run("check", "--section", "Sources"), lambda r: "route-www" in r.output, "the finding")
    paper.quote("fingerpost check --section Sources", found.output)
    told = plane.run("validate", "-f", str(table.path))
    paper.quote(f"fingerpost validate -f {table.path.relative_to(plane.ground.state)}", _short(told.output, plane))
    paper.check("fingerpost validate of the broken file", "exit code 1", f"exit code {told.code}")
    served = requests_quietly(plane)
    paper.check("all requests of chapter 1 again", f"{len(CASES)} as before", f"{served} as before")
    table.put_back()
    mended = until(
        lambda: plane.run("check", "--section", "Sources"), lambda r: "route-www" not in r.output, "no finding"
    )
    paper.check("the file mended: fingerpost check", "exit code 0", f"exit code {mended.code}")


def _short(text: str, plane: Plane) -> str:
    return text.replace(f"{plane.ground.state}/", "")
