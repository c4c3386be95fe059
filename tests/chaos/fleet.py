"""The processes: Redis, servers and one agent per cluster, each to be killed at any moment; their roads and proxies."""

from __future__ import annotations

import asyncio
import math
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from mgmt.store.embedded import binary
from tests.chaos.checker import Checker
from tests.chaos.lines import Lines, Wire
from tests.chaos.manifests import Clusters, Manifests
from tests.chaos.proxies import Proxy
from tests.chaos.world import MGMT, World
from tests.fleet import fleet_processes as processes
from tests.fleet.fleet_network import Client, free_port, until

_HEARTBEAT = 1.0


class Part:
    """One process that is started again as often as it is killed."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name, self._command, self._log = name, command, log
        self.process: processes.Process | None = None

    def start(self) -> None:
        if self.process is None:
            self.process = processes.Process(self._command, self._log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None

    def freeze(self) -> None:
        if self.process is not None:
            self.process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.process is not None:
            self.process.signal(signal.SIGCONT)

    def died(self) -> str:
        """Its last words, if it ended by itself."""
        if self.process is None or not self.process.has_ended:
            return ""
        return f"{self.name} ended by itself: {self.process.said()[-3000:]}"


class Fleet:
    def __init__(
        self,
        root: Path,
        world: World,
        checker: Checker,
        clusters: Clusters,
        servers: int,
        agent: str,
        stack: AsyncExitStack,
    ) -> None:
        self._agent_module, self._clusters = agent, clusters
        self.root, self.world, self.checker, self._stack = root, world, checker, stack
        self.manifests = Manifests(world, clusters)
        self.redis_port = free_port()
        self.redis = Part("redis", [], root / "redis.log")
        self.ports = [free_port() for _ in range(servers)]
        self.servers = [self._server(n, port) for n, port in enumerate(self.ports)]
        self.lines = Lines(world.clusters, self.ports)
        checker.stored_until = self._stored_until
        self.agents: dict[str, Part] = {}
        self.wires: dict[str, Wire] = {}
        self.proxies: dict[str, Proxy] = {}

    def _stored_until(self, cluster: str) -> float:
        """A server reads the management folder itself before it says anything; what another one has read it gets by
        way of Redis, and how far that is, nobody tells.
        """
        if cluster != MGMT:
            return self.lines.of[cluster].stored_until
        return math.inf if len(self.servers) == 1 else self.checker.rested_at

    # ---------------------------------------------------------------- starting

    async def begin(self) -> None:
        self.manifests.begin()
        self._write_redis()
        self._stack.callback(self._end)
        self.redis.start()
        await until(self.answers, 20, "Redis answers")
        for server in self.servers:
            server.start()
        await self._stack.enter_async_context(self.lines.running())
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        for cluster in self.world.clusters:
            wire = self.wires[cluster] = await self._stack.enter_async_context(Wire(self.lines.port).running())
            port = free_port()
            self.agents[cluster] = self._agent(cluster, wire.port, port)
            self.agents[cluster].start()
            tokens = self.root / f"agent-{cluster}" / "tokens"
            proxy = self.proxies[cluster] = Proxy(cluster, port, tokens, self.checker.look)
            task = group.create_task(proxy.run(), name=f"proxy of {cluster}")
            self._stack.callback(task.cancel)

    def _end(self) -> None:
        for part in self.parts():
            part.thaw()
            part.kill()

    def parts(self) -> list[Part]:
        return [*self.agents.values(), *self.servers, self.redis]

    def _server(self, number: int, port: int) -> Part:
        """All read the folder of the management cluster; the one that leads tells of it."""
        state = self.root / f"server-{number}"
        flags: dict[str, object] = {
            "state_dir": state,
            **self._clusters.flags(MGMT),
            "relay_address": f"127.0.0.1:{port}",
            "admin_address": "127.0.0.1:0",
            "heartbeat": _HEARTBEAT,
            "lease": 2.0,
            "insecure": "true",
            "redis_url": f"redis://127.0.0.1:{self.redis_port}/0",
            "replica": f"server-{number}",
            "ca_dir": self.root / "ca",
        }
        return self._module("mgmt", f"server-{number}", flags)

    def _agent(self, cluster: str, relay: int, xds: int) -> Part:
        flags = {
            "cluster": cluster,
            **self._clusters.flags(cluster),
            "state_dir": self.root / f"agent-{cluster}",
            "server_address": f"127.0.0.1:{relay}",
            "xds_address": f"127.0.0.1:{xds}",
            "admin_address": "127.0.0.1:0",
            "retry_ceiling": 0.2,
            "heartbeat": _HEARTBEAT,
            "insecure": "true",
        }
        return self._module(self._agent_module, f"agent-{cluster}", flags)

    def _module(self, module: str, name: str, flags: dict[str, object]) -> Part:
        given = [f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items()]
        return Part(name, [sys.executable, "-m", module, *given], self.root / f"{name}.log")

    # ---------------------------------------------------------------- Redis

    @property
    def redis_folder(self) -> Path:
        return self.root / "redis"

    def _write_redis(self) -> None:
        self.redis_folder.mkdir()
        settings = {
            "port": self.redis_port,
            "bind": "127.0.0.1",
            "dir": self.redis_folder,
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
        }
        flags = [text for name, value in settings.items() for text in (f"--{name}", f"{value}")]
        self.redis = Part("redis", [binary(), *flags], self.root / "redis.log")

    def empty_redis(self) -> None:
        """While it is down."""
        for file in self.redis_folder.iterdir():
            file.unlink()

    def keep_redis(self) -> None:
        kept = self.root / "redis-kept"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(self.redis_folder, kept)

    def age_redis(self) -> None:
        """While it is down: it will know what it knew at the last `keep_redis`."""
        if (kept := self.root / "redis-kept").exists():
            shutil.rmtree(self.redis_folder)
            shutil.copytree(kept, self.redis_folder)

    async def answers(self) -> bool:
        return await self.tell_redis("PING") is not None

    async def tell_redis(self, *command: object) -> object:
        """None: it is not there, or does not want to."""
        client = Redis(port=self.redis_port, socket_timeout=2)
        try:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]
        except RedisError:
            return None
        finally:
            await client.aclose()

    # ---------------------------------------------------------------- the quiet

    def restart_all(self) -> None:
        for part in self.parts():
            part.thaw()
            part.start()

    def died(self) -> str:
        return "\n".join(words for part in self.parts() if (words := part.died()))

    async def excuses(self, cluster: str) -> str:
        """Why the gateway of `cluster` is not as it should be, in its agent's words."""
        process = self.agents[cluster].process
        if process is None:
            return "the agent is down"
        client = Client()
        try:
            told = await client.text((await process.ready("agent.ready"))["admin"], "/gateways")
        except (AssertionError, httpx.HTTPError) as failed:
            return str(failed)
        finally:
            await client.close()
        return told[:2000]

    async def converged(self, timeout: float, only: tuple[str, ...] = ()) -> bool:
        """Whether every gateway came to serve what it has to."""

        def right() -> bool:
            proxies = [self.proxies[c] for c in only or self.world.clusters]
            return all(p.connected for p in proxies) and not self.checker.differences(only)

        try:
            await until(right, timeout)
        except AssertionError:
            return False
        return True


@asynccontextmanager
async def running_fleet(
    root: Path, world: World, checker: Checker, clusters: Clusters, servers: int = 1, agent: str = "agent"
) -> AsyncIterator[Fleet]:
    async with clusters.running(), AsyncExitStack() as stack:
        fleet = Fleet(root, world, checker, clusters, servers, agent, stack)
        await fleet.begin()
        yield fleet
