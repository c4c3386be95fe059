"""What the server holds per stored object and per idle agent, and what an agent with nothing to do takes.

`python -m bench.memory TABLES AGENTS`. Resident memory of the processes, settled.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path

from bench import world
from bench.bare import bare_agents
from bench.figures import emit, say
from bench.processes import AgentGroup, running, server
from bench.reconnect import Fleet

GROUPS = 2
LOOK = 10.0  # seconds
SETTLED = 8  # looks: statuses are written for a while after the load, and memory given back after that


def resident(pid: int) -> int:
    """Bytes, once they have not changed by more than a percent for a while."""
    looks: deque[int] = deque(maxlen=SETTLED)
    while True:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        looks.append(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024)
        if len(looks) == SETTLED and max(looks) - min(looks) < looks[-1] / 100:
            return looks[-1]
        time.sleep(LOOK)


def _server_with(root: Path, clusters: list[str], tables: int) -> int:
    """Bytes of a server without agents."""
    world.write_management(root, clusters, tables)
    with server(root) as (pid, _, _admin):
        return resident(pid)


def measure(root: Path, tables: int, agents: int) -> None:
    clusters = [f"c{i}" for i in range(agents)]
    empty = _server_with(root / "empty", clusters, 0)
    full = _server_with(root / "unserved", clusters, tables)
    say(f"a server takes {empty >> 20} MB without tables, {full >> 20} MB with them")

    fleet_root = root / "fleet"
    world.write_management(fleet_root, clusters, tables)
    for cluster in clusters:
        world.write_cluster(fleet_root, cluster)
    with ExitStack() as stack:
        pid, port, admin = stack.enter_context(server(fleet_root))
        groups = [AgentGroup(fleet_root, clusters[i::GROUPS], port, bare_agents) for i in range(GROUPS)]
        for group in groups:
            stack.callback(group.close)
            group.wait_ready()
        fleet = Fleet(groups)
        fleet.go(clusters[:1])
        fleet.agree(admin, 0)
        served = resident(pid)
        fleet.go(clusters)
        fleet.agree(admin, 0)
        idle = resident(pid)

    (root / "nothing").mkdir()
    flags = {"cluster": "nothing", "directory": root / "nothing", "state_dir": root / "state" / "nothing"}
    flags |= {"xds_address": "127.0.0.1:0", "admin_address": "127.0.0.1:0", "server_address": "127.0.0.1:1"}
    with running("agent", root, "agent.ready", insecure="true", **flags) as (pid, _):
        agent = resident(pid)

    emit(
        "memory",
        tables=tables,
        agents=agents,
        server_bytes_empty=empty,
        bytes_per_object=round((full - empty) / tables),
        bytes_per_object_served=round((served - empty) / tables),
        bytes_per_idle_agent=round((idle - served) / (agents - 1)),
        agent_bytes=agent,
    )


def main() -> None:
    tables, agents = (int(word) for word in sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="fingerpost-bench-") as folder:
        measure(Path(folder), tables, agents)


if __name__ == "__main__":
    main()
