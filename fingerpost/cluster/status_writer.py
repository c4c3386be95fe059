"""Writes the statuses of a cluster's objects: the newest of each, only where another one is there, never on the hot
path.

It holds what each status is to be, and compares when something has changed on either side: so what could not be
written during an outage, or was lost with an object that came back, is written later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Never, Protocol

import msgspec
import structlog

from fingerpost.cluster.announcements import Announcer
from fingerpost.cluster.protocol import ClusterFailed, Outputs
from fingerpost.objects import ObjectKey, canonical
from fingerpost.shared import shared

log = structlog.get_logger()
RATE = 200  # a second
_ROUND = 0.1  # seconds
_AT_ONCE = 8  # so that an API server which takes long for each still gets many
_STANDBY = 1.0  # seconds between two looks whether this process answers now
_FIRST, _CEILING = 0.5, 15.0  # seconds until what failed is tried again
_decoder = msgspec.json.Decoder(dict[str, Any])


class StatusSink(Protocol):
    async def write_status(self, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        """True when it was written: it was not there yet. Raises ClusterFailed."""
        ...

    def status(self, key: ObjectKey) -> Any: ...

    def hear_statuses(self, heard: Callable[[ObjectKey], None]) -> None: ...

    @property
    def outputs(self) -> Outputs | None: ...


class StatusWriter:
    """`mine()` tells whether this process answers for the cluster's statuses. What is new in them is announced."""

    def __init__(
        self,
        sink: StatusSink,
        mine: Callable[[], bool] = lambda: True,
        rate: int = RATE,
    ) -> None:
        self._sink, self._mine = sink, mine
        self._announcer = Announcer(sink.outputs.announce, mine) if sink.outputs else None
        self._share = max(1, int(rate * _ROUND))
        self._wanted: dict[ObjectKey, bytes] = {}
        self._waiting: dict[ObjectKey, None] = {}  # the newest last
        self._failed: dict[ObjectKey, ClusterFailed] = {}
        self._wake = asyncio.Event()
        sink.hear_statuses(self._look)

    def put(self, key: ObjectKey, status: Mapping[str, Any] | None) -> None:
        """None: the object is gone, and its status with it."""
        if status is None:
            self._wanted.pop(key, None)
            return
        body = canonical(status)
        if self._wanted.get(key) != body:
            self._wanted[key] = shared(body)  # many are told the same
            self._look(key)

    def _look(self, key: ObjectKey) -> None:
        if key in self._wanted:
            self._failed.pop(key, None)
            self._waiting.pop(key, None)
            self._waiting[key] = None
            self._wake.set()

    async def run(self) -> Never:
        async with asyncio.TaskGroup() as tasks:
            if self._announcer:
                tasks.create_task(self._announcer.run(), name="status.announce")
            tasks.create_task(self._write(), name="status.write")
        raise RuntimeError("statuses are written no longer")

    async def _write(self) -> Never:
        pause = _FIRST
        while True:
            if not self._waiting and not self._failed:
                await self._wake.wait()
                self._wake.clear()
            if not self._mine():
                await asyncio.sleep(_STANDBY)
                continue
            written, failed = await self._round()
            if written:
                pause = _FIRST
            if failed or not self._waiting:
                if self._failed:
                    pause = await self._rest(pause)
            else:
                await asyncio.sleep(_ROUND)

    async def _rest(self, pause: float) -> float:
        """Until what failed is tried again, as late as the API server asks for. The next pause."""
        key, error = next(iter(self._failed.items()))
        pause = max(pause, getattr(error, "retry_after", 0.0))
        log.warning(
            "status.write.failed",
            resource=str(key),
            count=len(self._failed),
            reason=f"{error}; everything else goes on, and it is tried again",
            retry_in=round(pause, 1),
        )
        await asyncio.sleep(pause)
        self._waiting = dict.fromkeys(self._failed) | self._waiting
        self._failed.clear()
        return min(pause * 2, _CEILING)

    async def _round(self) -> tuple[int, int]:
        """As many as a round may write: (written, failed). What is there already costs nothing."""
        begun = written = failed = 0

        async def work() -> None:
            nonlocal begun, written, failed
            while self._waiting and begun < self._share and self._mine():
                key, _ = self._waiting.popitem()
                body = self._wanted.get(key)
                if body is None:
                    continue
                status, before = _decoder.decode(body), self._sink.status(key)
                begun += 1
                try:
                    if await self._sink.write_status(key, status):
                        written += 1
                        if self._announcer:
                            self._announcer.status(key, before, status)
                    else:
                        begun -= 1
                        await asyncio.sleep(0)  # there may be thousands of these
                except ClusterFailed as error:
                    failed += 1
                    if key not in self._waiting:
                        self._failed[key] = error

        async with asyncio.TaskGroup() as tasks:
            for number in range(min(_AT_ONCE, len(self._waiting))):
                tasks.create_task(work(), name=f"status.write.{number}")
        return written, failed
