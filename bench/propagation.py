"""How fast is a change everywhere: from the rename of an edited file to the last agent's offer, and to a real Envoy's
ACK.

`python -m bench.propagation AGENTS TABLES EDITS`. The floor is what the same kind of Envoy needs when a bare ADS loop
hands it the same edit. With `bare` after it the agents are reduced to their relay, for fleets whose agents this machine
could not run: "offered" is then the moment at which the last of them has the version complete, and no Envoy takes part.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection, wait
from pathlib import Path

from bench import world
from bench.bare import bare_agents
from bench.figures import emit, say, spread
from bench.floor import floor
from bench.processes import AgentGroup, cpu_seconds, envoy, fetch, server

GROUPS = 2
WARM = 10
PAUSE, PAUSE_OF_ONE = 0.1, 0.001  # seconds between edits, at least and per agent, so that each meets an idle fleet
Message = tuple[str, str, int, int]  # "offered" or "acked", cluster, version, unix nanoseconds


def _messages(ready: Iterable[object]) -> Iterator[Message]:
    for pipe in ready:
        assert isinstance(pipe, Connection)
        yield from pipe.recv()


def collect(groups: list[AgentGroup], after: int, agents: int, acking: str, patience: float = 20) -> tuple[int, int]:
    """The moments of the last offer and of the ACK of a version above `after`; without `acking` no ACK is awaited."""
    offered: dict[str, int] = {}
    acked = 0
    end = time.monotonic() + patience
    while len(offered) < agents or (acking and not acked):
        ready = wait([g.pipe for g in groups], timeout=max(0.0, end - time.monotonic()))
        if not ready:
            raise TimeoutError(f"{len(offered)} of {agents} agents have offered it, ACK: {bool(acked)}")
        for kind, cluster, version, at in _messages(ready):
            if version <= after:
                continue
            if kind == "offered":
                offered.setdefault(cluster, at)
            elif cluster == acking:
                acked = acked or at
    return max(offered.values()), acked


def _bytes(groups: list[AgentGroup]) -> float:
    total = count = 0
    for group in groups:
        group.pipe.send("bytes")
        while True:
            message = group.pipe.recv()
            if isinstance(message, tuple):
                total, count = total + message[1], count + message[2]
                break
    return total / count


def measure(root: Path, agents: int, tables: int, edits: int, *, bare: bool) -> None:
    clusters = [f"c{i}" for i in range(agents)]
    world.write_management(root, clusters, tables)
    for cluster in clusters:
        world.write_cluster(root, cluster)
    main = bare_agents if bare else None
    with server(root) as (pid, relay_port, admin_port), ExitStack() as stack:
        say("server is up")
        groups = [AgentGroup(root, clusters[i::GROUPS], relay_port, main) for i in range(GROUPS)]
        for group in groups:
            stack.callback(group.close)
        ports = {name: found for group in groups for name, found in group.wait_ready().items()}
        if bare:
            for group in groups:
                group.pipe.send(("go", frozenset(clusters)))
        else:
            _, agent_admin = ports["c0"]
            query = "gateway=gw/ingress&bind=127.0.0.1&instance=gw-0"
            stack.enter_context(envoy(root, "envoy", fetch(f"http://127.0.0.1:{agent_admin}/bootstrap?{query}")))
        settle(groups, agents)
        say("all agents are in sync")
        offered, acked, sizes, cpu, agent_cpu = _edit(root, groups, admin_port, clusters, tables, edits, pid, bare=bare)
    served = {} if bare else spread("acked_", acked) | spread("envoy_floor_", floor(root, tables, edits))
    emit(
        "propagation",
        agents=agents,
        bare_agents=bare,
        tables=tables,
        edits=edits,
        pause_ms=round(_pause(agents) * 1000),
        **spread("offered_", offered),
        **served,
        bytes_per_edit_agent=round(sizes),
        server_cpu_ms_per_edit=round(cpu * 1000, 2),
        agent_cpu_ms_per_edit=round(agent_cpu * 1000, 3),
    )


def _pause(agents: int) -> float:
    """Agents answer after the offer, which costs the two cores as much again."""
    return max(PAUSE, agents * PAUSE_OF_ONE)


def version(admin_port: int) -> int:
    return int(fetch(f"http://127.0.0.1:{admin_port}/version")["configVersion"])


def settle(groups: list[AgentGroup], agents: int) -> None:
    """Until nothing has been offered for a second and a half."""
    seen = {message[1]: message[2] for group in groups for message in group.early}
    end = time.monotonic() + 180
    while time.monotonic() < end:
        ready = wait([g.pipe for g in groups], timeout=1.5)
        if not ready and len(seen) == agents:
            for group in groups:
                group.pipe.send("settled")
            return
        for _, cluster, version, _ in _messages(ready):
            seen[cluster] = version
    raise TimeoutError(f"{len(seen)} of {agents} agents are in sync")


def _edit(
    root: Path,
    groups: list[AgentGroup],
    admin_port: int,
    clusters: Sequence[str],
    tables: int,
    edits: int,
    pid: int,
    *,
    bare: bool,
) -> tuple[list[float], list[float], float, float, float]:
    offered: list[float] = []
    acked: list[float] = []
    before, cpu, agents_cpu = 0.0, 0.0, 0.0
    last = 0
    for edit in range(1, edits + WARM + 1):
        if edit == WARM + 1:
            before, cpu = _bytes(groups), cpu_seconds(pid)
            agents_cpu = sum(group.cpu_seconds() for group in groups)
        fresh, target = world.prepare_table(root, edit * 37 % tables, edit)
        if not last:
            last = version(admin_port)
        began = time.time_ns()
        os.replace(fresh, target)
        offer, ack = collect(groups, last, len(clusters), "" if bare else clusters[0])
        time.sleep(_pause(len(clusters)))
        last = version(admin_port)
        if edit > WARM:
            offered.append((offer - began) / 1e6)
            acked.append((ack - began) / 1e6)
    agents_cpu = sum(group.cpu_seconds() for group in groups) - agents_cpu
    spent = (cpu_seconds(pid) - cpu) / edits, agents_cpu / edits / len(clusters)
    return offered, acked, (_bytes(groups) - before) / edits, *spent


def main() -> None:
    agents, tables, edits = (int(word) for word in sys.argv[1:4])
    with tempfile.TemporaryDirectory(prefix="fingerpost-bench-") as folder:
        measure(Path(folder), agents, tables, edits, bare="bare" in sys.argv[4:])


if __name__ == "__main__":
    main()
