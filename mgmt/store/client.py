"""The connection to Redis: runs commands and scripts, and turns the client's errors into ours.

It knows nothing of keys.
"""

from __future__ import annotations

import asyncio
from hashlib import sha1
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from mgmt.store.errors import converted
from mgmt.store.layout import SEQ
from mgmt.store.settings import StoreSettings, parse

Value = str | bytes | int


class Script:
    """A Lua text with the digest under which Redis caches it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


class Client:
    """A few connections; nothing is retried here, because a repeated write would count twice."""

    def __init__(self, settings: StoreSettings) -> None:
        address = parse(settings)
        self.where = address.where
        self._secret_name = settings.secret_name
        self._read_timeout = settings.read_timeout
        self._redis: Any = Redis(  # the client's own annotations are partial
            **address.arguments,
            socket_connect_timeout=settings.dial_timeout,
            socket_timeout=None,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            health_check_interval=0,
        )

    async def run(self, *command: Value, timeout: float | None = None) -> Any:
        with converted(self.where, self._secret_name):
            async with asyncio.timeout(timeout or self._read_timeout):
                return await self._redis.execute_command(*command)

    async def script(self, script: Script, *arguments: Value, timeout: float | None = None) -> Any:
        with converted(self.where, self._secret_name):
            async with asyncio.timeout(timeout or self._read_timeout):
                try:
                    return await self._redis.execute_command("EVALSHA", script.sha, 1, SEQ, *arguments)
                except NoScriptError:
                    return await self._redis.execute_command("EVAL", script.text, 1, SEQ, *arguments)

    async def many(self, commands: list[tuple[Value, ...]], timeout: float) -> list[Any]:
        """One round trip for all of them."""
        with converted(self.where, self._secret_name):
            async with asyncio.timeout(timeout):
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for command in commands:
                        pipeline.execute_command(*command)
                    return list(await pipeline.execute())

    async def close(self) -> None:
        with converted(self.where, self._secret_name):
            await self._redis.aclose()
