"""The connection to Redis: runs commands and scripts, and turns the client's errors into ours.

It knows nothing of keys. Behind Sentinels every new connection asks these which Redis is the master; one that is a
master no longer ends its connections, which is an error like any other, and whoever called recovers.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from fingerpost.patience import patience
from mgmt.store.errors import converted
from mgmt.store.layout import SEQ
from mgmt.store.settings import StoreSettings, parse

log = structlog.get_logger()
Value = str | bytes | int
_REPLICA_MS = 200  # for a replica to have what was written


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
        self._replicated = bool(address.sentinels)
        self._behind = False
        common: dict[str, Any] = {
            "socket_connect_timeout": settings.dial_timeout,
            "socket_timeout": None,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            "health_check_interval": 0,
        }
        self._sentinels: Any = None
        self._redis: Any  # the client's own annotations are partial
        if address.sentinels:
            # a Sentinel that does not answer must not be waited for: the next one is asked
            asked = {**common, "socket_timeout": settings.dial_timeout / len(address.sentinels)}
            given = {**address.sentinel_arguments, **asked}
            self._sentinels = Sentinel(address.sentinels, sentinel_kwargs=given)  # type: ignore[no-untyped-call]
            self._redis = self._sentinels.master_for(address.master, **address.arguments, **common)
        else:
            self._redis = Redis(**address.arguments, **common)

    async def run(self, *command: Value, timeout: float | None = None) -> Any:
        with converted(self.where, self._secret_name):
            async with patience(timeout or self._read_timeout):
                return await self._redis.execute_command(*command)

    async def script(self, script: Script, *arguments: Value, timeout: float | None = None) -> Any:
        with converted(self.where, self._secret_name):
            async with patience(timeout or self._read_timeout):
                try:
                    return await self._redis.execute_command("EVALSHA", script.sha, 1, SEQ, *arguments)
                except NoScriptError:
                    return await self._redis.execute_command("EVAL", script.text, 1, SEQ, *arguments)

    async def written(self, script: Script, *arguments: Value, timeout: float) -> Any:
        """As `script`; behind Sentinels back only when a replica has it too, so that it outlives the master. Where
        none is connected, or none answers in time, it counts as it is, as with a Redis that stands alone.
        """
        if not self._replicated:
            return await self.script(script, *arguments, timeout=timeout)
        with converted(self.where, self._secret_name):
            async with patience(timeout + _REPLICA_MS / 1000), self._redis.client() as one:
                try:
                    answer = await one.execute_command("EVALSHA", script.sha, 1, SEQ, *arguments)
                except NoScriptError:
                    answer = await one.execute_command("EVAL", script.text, 1, SEQ, *arguments)
                behind = await one.execute_command("WAIT", 1, _REPLICA_MS) < 1
        if behind and not self._behind:
            log.warning("store.replica.behind", where=self.where, remedy="see that a replica of Redis follows it")
        self._behind = behind
        return answer

    async def many(self, commands: list[tuple[Value, ...]], timeout: float) -> list[Any]:
        """One round trip for all of them."""
        with converted(self.where, self._secret_name):
            async with patience(timeout), self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(await pipeline.execute())

    async def close(self) -> None:
        with converted(self.where, self._secret_name):
            await self._redis.aclose()
            for sentinel in self._sentinels.sentinels if self._sentinels is not None else ():
                await sentinel.aclose()
