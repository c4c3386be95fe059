"""One HTTP server for both halves: an ASGI app on an address of loopback, its real port known, no logs of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Any, NamedTuple

import uvicorn

_BACKLOG = 128


class CannotListen(OSError):
    """The message names the setting, the address, the reason and the remedy."""

    def __init__(self, setting: str, address: str, reason: str) -> None:
        flag = f"--{setting.replace('_', '-')}"
        super().__init__(f'{setting} is "{address}", but nothing can listen there: {reason}; give another with {flag}')


class BoundServer(NamedTuple):
    host: str
    port: int


class _Quiet(uvicorn.Server):
    """Signals belong to the process, not to one of its servers."""

    def install_signal_handlers(self) -> None:
        return None

    def capture_signals(self) -> Any:
        return nullcontext()


@asynccontextmanager
async def listen(app: Callable[..., Any], address: str, setting: str) -> AsyncIterator[BoundServer]:
    """`address` is host:port, port 0 for any; `setting` is where it comes from. Raises CannotListen."""
    host, _, port = address.rpartition(":")
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host.strip("[]"), int(port)))
        bound.listen(_BACKLOG)  # from now on a caller waits and is not refused
    except (OSError, ValueError) as wrong:
        bound.close()
        raise CannotListen(setting, address, getattr(wrong, "strerror", None) or str(wrong)) from wrong
    config = uvicorn.Config(app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1)
    server = _Quiet(config)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.serve(sockets=[bound]), name=f"http.{setting}")
        try:
            yield BoundServer(host, bound.getsockname()[1])
        finally:
            server.should_exit = True
            try:
                async with asyncio.timeout(3):
                    await asyncio.shield(task)
            except TimeoutError:
                task.cancel()
            bound.close()
