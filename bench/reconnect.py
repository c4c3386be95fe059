"""A whole fleet reconnects: to an empty server, to one that was killed and started, and to one that was away while a
hundredth of everything changed.

`python -m bench.reconnect AGENTS TABLES`. One line each: seconds until both sides agree, from the moment at which the
server is ready (`server_start_s` after it was killed), and what was sent for it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench import world
from bench.bare import Moved, bare_agents
from bench.figures import emit, percentile, say
from bench.processes import AgentGroup, fetch, server
from fingerpost.relay.settings import RelaySettings

GROUPS = 2
QUIET = 2.0  # seconds without anything new
PATIENCE = 180.0


class Fleet:
    def __init__(self, groups: Sequence[AgentGroup]) -> None:
        self._groups = groups
        self._going: frozenset[str] = frozenset()

    def go(self, clusters: Sequence[str]) -> None:
        """These connect."""
        self._going = frozenset(clusters)
        self.say(("go", self._going))

    def say(self, word: object) -> None:
        for group in self._groups:
            group.pipe.send(word)

    def state(self) -> tuple[dict[str, int], Moved]:
        """cluster -> the moment since which it is in step; what moved since the last call."""
        self.say("state")
        since: dict[str, int] = {}
        total = Moved()
        for group in self._groups:
            found, moved = _answer(group.pipe)
            since |= found
            total.add(moved)
        return {name: at for name, at in since.items() if name in self._going}, total

    def agree(self, admin: int, began: int) -> tuple[list[float], Moved]:
        """Seconds after `began` at which each agent was in step for good, once all are and the server says so too."""
        total = Moved()
        last: dict[str, int] = {}
        end, still = time.monotonic() + PATIENCE, 0.0
        while time.monotonic() < end:
            since, moved = self.state()
            total.add(moved)
            settled = all(at > began for at in since.values()) and since == last and _all_warm(admin, len(since))
            last = since
            if not settled:
                still = 0.0
            elif not still:
                still = time.monotonic()
            elif time.monotonic() - still > QUIET:
                return [(at - began) / 1e9 for at in since.values()], total
            time.sleep(0.1)
        raise TimeoutError(f"{sum(at > began for at in last.values())} of {len(last)} agents are in step")


def _answer(pipe: Connection) -> tuple[dict[str, int], Moved]:
    while True:
        message = pipe.recv()
        if isinstance(message, tuple) and message[0] == "state":
            return message[1], message[2]


def _all_warm(admin: int, agents: int) -> bool:
    found: list[dict[str, Any]] = fetch(f"http://127.0.0.1:{admin}/clusters")["clusters"]
    return sum(1 for c in found if c["state"] == "Warm" and not c.get("behind")) >= agents


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _edit(root: Path, clusters: Sequence[str], tables: int) -> int:
    """A hundredth of the tables and of the clusters; how many objects that is."""
    edited = range(0, tables, 100)
    for number in edited:
        world.write_table(root, number, 1)
    changed = clusters[::100]
    for cluster in changed:
        world.write_cluster(root, cluster, address="127.0.0.2")
    return len(edited) + len(changed)


def measure(root: Path, agents: int, tables: int) -> None:
    clusters = [f"c{i}" for i in range(agents)]
    world.write_management(root, clusters, tables)
    for cluster in clusters:
        world.write_cluster(root, cluster)
    port = _free_port()
    with ExitStack() as stack:
        pid, _, admin = stack.enter_context(server(root, port))
        groups = [AgentGroup(root, clusters[i::GROUPS], port, bare_agents) for i in range(GROUPS)]
        for group in groups:
            stack.callback(group.close)
            group.wait_ready()
        fleet = Fleet(groups)
        say("server and agents are up")

        def report(case: str, began: int, ready: int, admin: int, inputs_changed: int) -> None:
            seconds, moved = fleet.agree(admin, began)
            starting = (ready - began) / 1e9
            emit(
                "reconnect",
                case=case,
                agents=agents,
                tables=tables,
                server_start_s=round(starting, 2),
                in_sync_s=round(max(seconds) - starting, 2),
                in_sync_p50_s=round(percentile(seconds, 0.5) - starting, 2),
                in_sync_p99_s=round(percentile(seconds, 0.99) - starting, 2),
                inputs_changed=inputs_changed,
                objects_moved=moved.facts + moved.pieces,
                facts_moved=moved.facts,
                pieces_moved=moved.pieces,
                contributions_moved=len(moved.contributions - {""}),
                deleted=moved.facts_removed + moved.resources_removed,
            )

        began = time.time_ns()
        fleet.go(clusters)
        report("empty", began, began, admin, 0)
        for case in ("unchanged", "changed"):
            say("waiting until the links are old enough for their back-off to begin anew")
            time.sleep(RelaySettings().retry_ceiling)
            began = time.time_ns()
            os.kill(pid, signal.SIGKILL)
            inputs_changed = 0
            if case == "changed":
                inputs_changed = _edit(root, clusters, tables)
                fleet.say("list")
            pid, _, admin = stack.enter_context(server(root, port))
            report(case, began, time.time_ns(), admin, inputs_changed)


def main() -> None:
    agents, tables = (int(word) for word in sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="fingerpost-bench-") as folder:
        measure(Path(folder), agents, tables)


if __name__ == "__main__":
    main()
