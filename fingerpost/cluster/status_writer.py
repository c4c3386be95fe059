"""Writes the statuses of a cluster's objects: the newest of each, at most once per change, never on the hot path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Never, Protocol

import structlog

from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.objects import ObjectKey

log = structlog.get_logger()
RATE = 200  # a second
_PAUSE = 0.1


class StatusSink(Protocol):
    async def write_status(self, key: ObjectKey, status: Mapping[str, Any]) -> None: ...


class StatusWriter:
    """`mine()` tells whether this process answers for the cluster's statuses."""

    def __init__(self, sink: StatusSink, mine: Callable[[], bool] = lambda: True, rate: int = RATE) -> None:
        self._sink, self._mine, self._rate = sink, mine, rate
        self._waiting: dict[ObjectKey, Mapping[str, Any]] = {}
        self._wake = asyncio.Event()

    def put(self, key: ObjectKey, status: Mapping[str, Any] | None) -> None:
        """None: the object is gone, and its status with it."""
        if status is None:
            self._waiting.pop(key, None)
        else:
            self._waiting[key] = status
            self._wake.set()

    async def run(self) -> Never:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._write_some()
                await asyncio.sleep(_PAUSE)

    async def _write_some(self) -> None:
        for key in list(self._waiting)[: max(1, int(self._rate * _PAUSE))]:
            status = self._waiting.pop(key)
            if not self._mine():
                continue
            try:
                await self._sink.write_status(key, status)
            except ClusterFailed as wrong:
                log.warning("status.write.failed", resource=str(key), reason=str(wrong))
