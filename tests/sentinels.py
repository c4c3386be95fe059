"""A real Redis with a replica, and three real Sentinels that watch them; each process ends with its owner."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from mgmt.store.embedded import binary
from tests.fleet.fleet_network import free_port, until
from tests.fleet.fleet_processes import Process

MASTER = "relay"


class Watched:
    """`url` is what a server is given. `ports` are those of the two, `sentinel_ports` of the others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ports = free_port(), free_port()
        self.sentinel_ports = free_port(), free_port(), free_port()
        self.processes: dict[int, Process] = {}

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self.sentinel_ports)}/{MASTER}"

    async def begin(self) -> None:
        self.start(self.ports[0])
        self.start(self.ports[1], "--replicaof", "127.0.0.1", str(self.ports[0]))
        await until(self._followed, 20, "the replica follows")
        for port in self.sentinel_ports:
            folder = self._of(port)
            file = folder / "sentinel.conf"  # Sentinels write what they know into it
            file.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
                f"sentinel monitor {MASTER} 127.0.0.1 {self.ports[0]} 2\n"
                f"sentinel down-after-milliseconds {MASTER} 500\n"
                f"sentinel failover-timeout {MASTER} 5000\n"
            )
            self.processes[port] = Process([binary(), str(file), "--sentinel"], folder / "log")
        await until(self._agreed, 20, "the Sentinels know each other and the replica")

    def _of(self, port: int) -> Path:
        folder = self._folder / str(port)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def start(self, port: int, *more: str) -> None:
        folder = self._of(port)
        kept = ("--save", "", "--appendonly", "yes", "--repl-diskless-sync-delay", "0")
        own = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder))
        self.processes[port] = Process([binary(), *own, *kept, *more], folder / "log")

    async def _followed(self) -> bool:
        found = await asked(self.ports[1], "INFO", "replication") or {}
        return found.get("master_link_status") == "up"

    async def _agreed(self) -> bool:
        for port in self.sentinel_ports:
            found = await asked(port, "SENTINEL", "MASTER", MASTER) or {}
            if (int(found.get("num-slaves", 0)), int(found.get("num-other-sentinels", 0))) != (1, 2):
                return False
        return True

    def kill_master(self) -> None:
        self.processes[self.ports[0]].kill()

    def freeze_master(self, *, frozen: bool = True) -> None:
        self.processes[self.ports[0]].signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    async def promoted(self) -> bool:
        """Whether the replica is the master now."""
        return (await asked(self.ports[1], "INFO", "replication") or {}).get("role") == "master"


async def asked(port: int, *command: str) -> Any:
    """The answer of one that may not be there; None: it is not."""
    client = Redis(port=port, socket_timeout=2, decode_responses=True, encoding_errors="replace")
    try:
        return await client.execute_command(*command)
    except (RedisError, OSError):
        return None
    finally:
        await client.aclose()


@asynccontextmanager
async def watched_redis(folder: Path) -> AsyncIterator[Watched]:
    watched = Watched(folder)
    try:
        await watched.begin()
        yield watched
    finally:
        for process in watched.processes.values():
            await asyncio.to_thread(process.kill)
