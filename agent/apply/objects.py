"""Brings the objects that the server wants into the cluster and keeps them as they are wanted (relay.md §8.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import groupby
from typing import Never

import structlog

from agent.apply.wanted import Object, Wanted
from fingerpost.cluster.protocol import Change, NotWritten, Outputs
from fingerpost.objects import ObjectKey

log = structlog.get_logger()
RATE, BURST = 50.0, 100.0  # writes a second
_AT_ONCE = 8


class Objects:
    """`changed(scope)` is called when more of a scope has arrived, or something of it failed."""

    def __init__(
        self,
        outputs: Outputs,
        changed: Callable[[str], None],
        clock: Callable[[], float],
        undone: Callable[[ObjectKey], None] = lambda _key: None,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._leads = leads
        self.wanted = Wanted(outputs.held, outputs.marks)
        self._outputs, self._changed, self._clock, self._undone = outputs, changed, clock, undone
        self._wake = asyncio.Event()
        self._listed = asyncio.Event()
        self._tokens, self._filled = BURST, clock()

    def want(self, scope: str, version: int, changed: Mapping[ObjectKey, Object | None]) -> None:
        self.wanted.want(scope, version, changed)
        self._wake.set()

    def forget(self, scope: str) -> None:
        self.wanted.forget(scope)
        self._wake.set()

    def saw(self, changes: Iterable[Change], *, listed: bool) -> None:
        """What the cluster holds, as its watch tells it; edits by others are undone. Nothing is written before the
        first listing has told what is there already.
        """
        any_seen = False
        for key, body in changes:
            any_seen = True
            if self.wanted.seen(key, body) and self._leads():
                log.warning("apply.object.undone", resource=str(key), gone=body is None)
                self._undone(key)
        if listed:
            self._listed.set()
        if any_seen or listed:
            self._wake.set()

    def look(self) -> None:
        self._wake.set()

    async def run(self) -> Never:
        await self._listed.wait()
        while True:
            try:
                due = self.wanted.next_due(self._clock()) if self._leads() else None
                async with asyncio.timeout(due):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            if self._leads():
                await self._turn()

    async def _turn(self) -> None:
        writes, removals = self.wanted.todo(self._clock())
        for _, some in groupby(writes, key=lambda key: key.type):
            await self._each(list(some), self._write)
        for _, some in groupby(removals, key=lambda key: key.type):
            await self._each(list(some), self._remove)
        for scope in list(self.wanted.scopes()):
            self._changed(scope)

    async def _each(self, keys: list[ObjectKey], work: Callable[[ObjectKey], Awaitable[None]]) -> None:
        """A few at once; kinds one after the other, since one names the other."""
        for begin in range(0, len(keys), _AT_ONCE):
            some = keys[begin : begin + _AT_ONCE]
            await self._allowed(len(some))
            await asyncio.gather(*(work(key) for key in some))

    async def _allowed(self, count: int) -> None:
        while True:
            now = self._clock()
            self._tokens = min(BURST, self._tokens + (now - self._filled) * RATE)
            self._filled = now
            if self._tokens >= count:
                self._tokens -= count
                return
            await asyncio.sleep((count - self._tokens) / RATE)

    async def _write(self, key: ObjectKey) -> None:
        wanted = self.wanted.get(key)
        if wanted is None:
            return
        try:
            there = await self._outputs.apply(key, self.wanted.sending(key, wanted))
        except NotWritten as error:
            self._failed(key, error)
        else:
            self.wanted.written(key, wanted, there)

    async def _remove(self, key: ObjectKey) -> None:
        if self.wanted.get(key) is not None:
            return
        try:
            await self._outputs.remove(key)
        except NotWritten as error:
            self._failed(key, error)
        else:
            self.wanted.removed(key)

    def _failed(self, key: ObjectKey, error: NotWritten) -> None:
        known = self.wanted.troubles.get(key)
        if known is None or known.message != str(error):
            log.warning("apply.object.failed", resource=str(key), code=error.why.value, reason=str(error))
        self.wanted.failed(key, error, self._clock())
