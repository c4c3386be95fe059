"""What every process of ours does around its work: settings, logs, signals, and one clear line when it cannot run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import msgspec
import structlog
import uvloop

from fingerpost import log
from fingerpost.config import BadSettings, load

S = TypeVar("S", bound=msgspec.Struct)
Edge = tuple[type[BaseException], ...]


def run(
    name: str,
    settings: type[S],
    about: str,
    running: Callable[[S], AbstractAsyncContextManager[Any]],
    bound: Callable[[S], dict[str, str]],
    edge: Edge,
) -> None:
    """Until SIGTERM or SIGINT. `edge` are the errors of the outside world: they end the process with their message.

    `name` as in fingerpost-agent, whose settings are FINGERPOST_AGENT_... in the environment; `bound` is on every log
    line.
    """
    try:
        chosen = load(settings, f"{name.upper().replace('-', '_')}_", sys.argv[1:], os.environ, about)
    except BadSettings as wrong:
        sys.exit(f"{name}: {wrong}")
    log.configure(verbose=bool(getattr(chosen, "verbose", False)), **bound(chosen))
    try:
        uvloop.run(_until_told(running(chosen)))
    except BaseExceptionGroup as several:
        expected, bugs = several.split(edge)
        if bugs is not None or expected is None:
            raise
        _give_up(name, _first(expected))
    except edge as wrong:
        _give_up(name, wrong)


async def _until_told(running: AbstractAsyncContextManager[Any]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running:
        await stop.wait()


def _give_up(name: str, wrong: BaseException) -> None:
    structlog.get_logger().error("process.failed", process=name, reason=str(wrong))
    sys.exit(f"{name}: {wrong}")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
