"""Addresses of host names, always at once: what is not known yet is asked in the background, and a failure keeps the
last answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection
from ipaddress import ip_address
from typing import Never

import structlog

log = structlog.get_logger()

REFRESH = 30.0


class Resolver:
    """`changed(hosts)` is called when the answer for some hosts is another one."""

    def __init__(self, changed: Callable[[Collection[str]], None], refresh: float = REFRESH) -> None:
        self._changed = changed
        self._refresh = refresh
        self._known: dict[str, tuple[str, ...]] = {}
        self._asked: set[str] = set()
        self._wake = asyncio.Event()

    def addresses(self, host: str) -> tuple[str, ...]:
        """An IP address is its own answer; a name that was never resolved has none yet."""
        try:
            return (str(ip_address(host)),)
        except ValueError:
            pass
        if host not in self._asked:
            self._asked.add(host)
            self._wake.set()
        return self._known.get(host, ())

    async def run(self) -> Never:
        while True:
            unknown = self._asked - self._known.keys()
            await self._resolve(unknown or self._asked)
            self._wake.clear()
            if self._asked - self._known.keys() - unknown:
                continue
            try:
                async with asyncio.timeout(self._refresh):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _resolve(self, hosts: Collection[str]) -> None:
        answers: dict[str, tuple[str, ...]] = {}

        async def ask(host: str) -> None:
            try:
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError) as failed:  # the latter: an empty label, or one over 63 characters
                log.warning("xds.host.unresolved", host=host, error=str(failed))
                return
            answers[host] = tuple(sorted({str(entry[4][0]) for entry in found}))

        async with asyncio.TaskGroup() as tasks:
            for host in sorted(hosts):
                tasks.create_task(ask(host), name=f"resolve {host}")
        changed = {h for h, found in answers.items() if found and self._known.get(h) != found}
        self._known.update((h, answers[h]) for h in changed)
        if changed:
            self._changed(changed)
