"""What a full rebuild costs and what one edit costs, with 100 like gateways: cost follows the change, not the world.

No process and no I/O: objects in, changed resources out. `python -m bench.translate [GATEWAYS] [TABLES …]`.
"""

from __future__ import annotations

import gc
import sys
import time
from statistics import median

from bench.figures import emit, percentile, say
from bench.offline import edited, objects
from mgmt.translate.graph.ownership import Place
from mgmt.translate.translator import translate

EDITS = 100
REBUILDS = 3


def main(gateways: int, sizes: list[int]) -> None:
    for tables in sizes:
        measure(gateways, tables)


def measure(gateways: int, tables: int) -> None:
    found = objects(tables, gateways)
    place = Place(cluster="mgmt", admin_namespace="gloo-mesh")
    rebuilds = []
    for _ in range(REBUILDS):
        gc.collect()
        began = time.perf_counter()
        translator, turn = translate(place, found)
        rebuilds.append((time.perf_counter() - began) * 1000)
    served = sum(1 for scope in turn.gateways.values() if scope is not None)
    say(f"{tables} tables: {len(turn.classes)} classes serve {served} gateways and clusters, {turn.steps} steps")
    gc.collect()
    gc.freeze()  # as the server does after its first turn
    edits, steps = [], []
    for edit in range(1, EDITS + 1):
        change = edited(edit * 7919 % tables, edit)
        began = time.perf_counter()
        translator.feed([change])
        turn = translator.turn()
        edits.append((time.perf_counter() - began) * 1000)
        steps.append(turn.steps)
        if not turn.classes:
            raise SystemExit("an edit changed nothing")
    gc.unfreeze()
    emit(
        "translate",
        gateways=gateways,
        tables=tables,
        rebuild_ms=round(median(rebuilds), 1),
        edit_ms=round(median(edits), 3),
        edit_p99_ms=round(percentile(edits, 0.99), 3),
        steps=median(steps),
    )


if __name__ == "__main__":
    arguments = [int(a) for a in sys.argv[1:]]
    main(arguments[0] if arguments else 100, arguments[1:] or [1_000, 10_000])
