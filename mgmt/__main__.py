"""`fingerpost-mgmt`: the management server as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import structlog
import uvloop

from fingerpost import log
from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.config import BadSettings, load
from fingerpost.http import CannotListen
from mgmt.app import running_server
from mgmt.relay.server import PortTaken
from mgmt.settings import Settings
from mgmt.store.errors import StoreError

_EDGE = (StoreError, PortTaken, CannotListen, ClusterFailed, OSError)


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running_server(settings):
        await stop.wait()


def main() -> None:
    try:
        settings = load(Settings, "FINGERPOST_MGMT_", sys.argv[1:], os.environ, "The management server of Fingerpost.")
    except BadSettings as wrong:
        sys.exit(f"fingerpost-mgmt: {wrong}")
    log.configure(verbose=settings.verbose, logger="mgmt", replica=settings.replica)
    try:
        uvloop.run(_serve(settings))
    except BaseExceptionGroup as several:
        edge, bugs = several.split(_EDGE)
        if bugs is not None or edge is None:
            raise
        structlog.get_logger().error("mgmt.server.failed", reason=str(_first(edge)))
        sys.exit(f"fingerpost-mgmt: {_first(edge)}")
    except _EDGE as wrong:
        structlog.get_logger().error("mgmt.server.failed", reason=str(wrong))
        sys.exit(f"fingerpost-mgmt: {wrong}")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


if __name__ == "__main__":
    main()
