"""A server that dies at a chosen place of its work: `python -m tests.fleet.mortal PLACE ARMED FLAGS…`. Once there is a
file ARMED, it kills itself (SIGKILL) at PLACE:

translating  one step of a translation is done, others are not
writing      half of the bytes of a write to Redis are sent
written      Redis has answered a write, nobody has heard of it
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis.asyncio.connection import AbstractConnection

import mgmt.ingest.turns as turns
import mgmt.store.redis_store as redis_store
from mgmt.translate.engine.steps import Step

Armed = Callable[[], bool]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def translating(armed: Armed) -> None:
    run, runs = Step._run_one, 0

    def counted(self: Step[Any, Any, Any, Any], key: Any) -> None:
        nonlocal runs
        run(self, key)
        runs += armed()
        if runs == 2:
            _die()

    setattr(Step, "_run_one", counted)  # noqa: B010


def writing(armed: Armed) -> None:
    send, write = AbstractConnection.send_packed_command, redis_store._WRITE.sha.encode()

    async def half(self: Any, command: Any, check_health: bool = True) -> None:
        sent = b"".join([command] if isinstance(command, bytes) else command)
        if write not in sent or not armed():
            await send(self, command, check_health)
            return
        self._writer.write(sent[: len(sent) // 2])
        await self._writer.drain()
        _die()

    setattr(AbstractConnection, "send_packed_command", half)  # noqa: B010


def written(armed: Armed) -> None:
    exchange = turns.exchange

    async def last(store: Any, groups: Any, known: int) -> Any:
        result = await exchange(store, groups, known)
        if armed():
            _die()
        return result

    vars(turns)["exchange"] = last


PLACES: dict[str, Callable[[Armed], None]] = {place.__name__: place for place in (translating, writing, written)}


if __name__ == "__main__":
    _, place, armed, *rest = sys.argv
    PLACES[place](Path(armed).exists)
    sys.argv = ["mgmt", *rest]
    importlib.import_module("mgmt.__main__").main()
