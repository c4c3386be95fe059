"""The way to Redis: follows what others write, and comes back to it when it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Never

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from mgmt.ingest.turns import Turns
from mgmt.store.errors import StoreError, StoreUnavailable
from mgmt.store.redis_store import RedisStore

log = structlog.get_logger()


class Link:
    """Between two attempts pass `first` seconds, later more, at most `ceiling`. `asked` after each of them."""

    def __init__(
        self, store: RedisStore, turns: Turns, first: float, ceiling: float, asked: Callable[[], None]
    ) -> None:
        self._store, self._turns, self._first, self._ceiling, self._asked = store, turns, first, ceiling, asked

    def ask(self) -> Callable[[], bool]:
        """Whether Redis has been asked since now: it is there, or it is away for us all the same."""
        in_vain = self._turns.ahead.ask()
        return lambda: self._turns.synced or in_vain()

    async def run(self) -> Never:
        retry = retry_if_exception_type(StoreError)
        wait = wait_exponential_jitter(multiplier=self._first, max=self._ceiling)
        while True:
            if self._turns.synced:
                await self._tail()
            async for attempt in AsyncRetrying(retry=retry, wait=wait, before_sleep=self._complain, sleep=self._pause):
                with attempt:
                    await self._regain()

    def _complain(self, attempt: RetryCallState) -> None:
        """Once per reason, not once per attempt."""
        cause = str(attempt.outcome.exception()) if attempt.outcome is not None else ""
        if cause != self._turns.trouble:
            self._turns.trouble = cause
            log.warning("store.link.retrying", reason=cause)

    async def _pause(self, seconds: float) -> None:
        """Shorter when an agent comes, which may hold more than we know."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._turns.ahead.waits.wait()

    async def _tail(self) -> None:
        """Until this, or a turn, has found Redis away."""
        async with asyncio.TaskGroup() as group:
            tailing = group.create_task(self._look_at_tail(), name="ingest.tail.read")
            await self._turns.lost.wait()
            tailing.cancel()

    async def _look_at_tail(self) -> None:
        try:
            async with aclosing(self._store.tail(self._turns.seq)) as tail:
                async for seq in tail:
                    if seq > self._turns.seq:
                        self._turns.look()
        except StoreError as e:
            self._turns.lose(e)

    async def _regain(self) -> None:
        self._turns.ahead.begins()
        try:
            await self._store.attach(self._turns.stored)  # cheap, outside a turn: is it there at all?
            await self._turns.exclusive(self._turns.regain)
            if not self._turns.synced:
                raise StoreUnavailable(self._turns.trouble)
        except StoreError:
            self._turns.ahead.failed()
            self._turns.look()
            raise
        finally:
            self._asked()
