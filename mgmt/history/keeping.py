"""Active rollbacks are kept besides Redis, where the relay's certificates are: a server that starts with an empty Redis
goes on with them, and does not undo by its restart what a person has rolled back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Never, Protocol

import msgspec
import structlog

from fingerpost.secrets.protocol import Secrets, SecretsFailed
from mgmt.pins.rollback import PREFIX

log = structlog.get_logger()
NAME = "fingerpost-rollbacks"
_FILE = "rollbacks"
_LARGEST = 900 * 1024  # a Secret takes 1 MiB
_AGAIN = 5.0  # seconds
_pins = msgspec.msgpack.Decoder(dict[str, bytes])


class Inputs(Protocol):
    def items(self) -> Iterable[Any]: ...


class Ingest(Protocol):
    @property
    def inputs(self) -> Inputs: ...

    @property
    def leads(self) -> bool: ...

    def pin(self, pins: Mapping[str, bytes | None]) -> None: ...

    def pins(self) -> Mapping[str, bytes]: ...


class Keeping:
    """`restore` before anybody is served, then `run`; `changed` when rollbacks begin or end."""

    def __init__(self, secrets: Secrets, ingest: Ingest, pause: float = _AGAIN) -> None:
        self._secrets, self._ingest, self._pause = secrets, ingest, pause
        self._kept: bytes | None = None
        self._too_large = False
        self._restored = False
        self._empty: bool | None = None  # whether Redis remembered nothing at the start
        self._dirty = asyncio.Event()
        self._dirty.set()

    @property
    def changed(self) -> Callable[[], None]:
        return self._dirty.set

    async def restore(self) -> bool:
        """Whether rollbacks were taken up. Where Redis remembers anything, it knows of them, too."""
        if self._empty is None:
            self._empty = next(iter(self._ingest.inputs.items()), None) is None
        try:
            self._kept = (await self._secrets.get(NAME)).get(_FILE, b"")
        except SecretsFailed as failed:
            log.error("history.rollbacks.unread", resource=NAME, reason=str(failed))
            return False
        self._restored = True
        if not (self._empty and self._kept):
            return False
        try:
            found = _pins.decode(self._kept)
        except msgspec.MsgspecError as wrong:
            log.error("history.rollbacks.unreadable", resource=NAME, reason=str(wrong))
            return False
        self._ingest.pin(dict(found))
        log.warning("history.rollbacks.restored", count=len(found), reason="redis had lost its memory")
        return bool(found)

    async def run(self) -> Never:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if not await self._written():
                self._dirty.set()
                await asyncio.sleep(self._pause)

    async def _written(self) -> bool:
        if not self._restored:
            await self.restore()
        if not (self._restored and self._ingest.leads):
            self._kept = None  # whoever leads writes it, and may not have come to its last release
            return False
        pins = {name: body for name, body in sorted(self._ingest.pins().items()) if name.startswith(PREFIX)}
        data = msgspec.msgpack.encode(pins) if pins else b""
        if len(data) > _LARGEST:
            if not self._too_large:
                remedy = "they are kept in Redis alone; release one"
                log.warning("history.rollbacks.too_large", resource=NAME, size=len(data), remedy=remedy)
            data = b""  # what was kept may have been released since
        self._too_large = bool(pins) and not data
        if data == self._kept:
            return True
        try:
            await self._secrets.put(NAME, {_FILE: data})
        except SecretsFailed as failed:
            log.warning("history.rollbacks.unwritten", resource=NAME, reason=str(failed))
            return False
        self._kept = data
        return True
