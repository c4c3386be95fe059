"""What an agent that stops reading costs the others (M-14): edits to their arrival everywhere else, before and while
one agent's process stands still. `python -m bench.stalled AGENTS TABLES EDITS`; agents are reduced to their relay.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import world
from bench.bare import bare_agents
from bench.figures import emit, percentile, say
from bench.processes import AgentGroup, server
from bench.propagation import PAUSE, collect, settle, version

FIRST = 10  # edits that are not counted


def _edited(root: Path, group: AgentGroup, admin: int, tables: int, numbers: Sequence[int]) -> list[float]:
    """Milliseconds until the last agent of the group has it, of each edit."""
    took = []
    for number in numbers:
        fresh, target = world.prepare_table(root, number * 37 % tables, number)
        before = version(admin)
        began = time.time_ns()
        os.replace(fresh, target)
        offered, _ = collect([group], before, len(group.clusters), "")
        took.append((offered - began) / 1e6)
        time.sleep(PAUSE)
    return took


def measure(root: Path, agents: int, tables: int, edits: int) -> None:
    clusters = [f"c{i}" for i in range(agents)]
    world.write_management(root, clusters, tables)
    for cluster in clusters:
        world.write_cluster(root, cluster)
    with server(root) as (_, relay, admin):
        reading, stalled = (AgentGroup(root, some, relay, bare_agents) for some in (clusters[1:], clusters[:1]))
        try:
            for group in (reading, stalled):
                group.wait_ready()
                group.pipe.send(("go", frozenset(clusters)))
            settle([reading, stalled], agents)
            say("all agents are in sync")
            count = FIRST + edits
            before = _edited(root, reading, admin, tables, range(1, count + 1))[FIRST:]
            os.kill(stalled.pid, signal.SIGSTOP)
            say("one of them reads no more")
            after = _edited(root, reading, admin, tables, range(count + 1, 2 * count + 1))[FIRST:]
        finally:
            os.kill(stalled.pid, signal.SIGCONT)
            for group in (reading, stalled):
                group.close()
    emit(
        "stalled",
        agents=agents,
        tables=tables,
        edits=edits,
        all_read_p50_ms=round(percentile(before, 0.5), 2),
        all_read_p99_ms=round(percentile(before, 0.99), 2),
        one_stalled_p50_ms=round(percentile(after, 0.5), 2),
        one_stalled_p99_ms=round(percentile(after, 0.99), 2),
    )


def main() -> None:
    agents, tables, edits = (int(word) for word in sys.argv[1:4])
    with tempfile.TemporaryDirectory(prefix="fingerpost-bench-") as folder:
        measure(Path(folder), agents, tables, edits)


if __name__ == "__main__":
    main()
