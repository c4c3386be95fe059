"""Finds out, again and again, which kinds an API server serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Never

from fingerpost.cluster.kubernetes import discovery
from fingerpost.cluster.kubernetes.api import Api, ApiFailed
from fingerpost.cluster.kubernetes.discovery import Groups, Served

_PAUSE = 2.0  # unchanged, the answer is an empty 304
_SETTLING = 0.5  # after a CRD has come or gone


class Kinds:
    """`serves` is called at first and whenever it is something else; `trouble` with why it cannot be told, or empty."""

    def __init__(self, api: Api, serves: Callable[[Served], None], trouble: Callable[[str], None]) -> None:
        self._api, self._serves, self._trouble = api, serves, trouble
        self._etags = dict.fromkeys(discovery.PATHS, "")
        self._documents: dict[str, Groups] = {}
        self._news = True  # not yet handed on
        self._look = asyncio.Event()

    def look(self) -> None:
        """Something says that a kind has gone: look soon."""
        self._look.set()

    async def run(self) -> Never:
        while True:
            try:
                await self._read()
                if self._news:
                    self._serves(discovery.served(self._documents.values()))
                    self._news = False
                self._trouble("")
            except ApiFailed as error:
                self._trouble(f"{error}; everything goes on with what was read before")
            try:
                async with asyncio.timeout(_PAUSE):
                    await self._look.wait()
            except TimeoutError:
                continue
            self._look.clear()
            await asyncio.sleep(_SETTLING)

    async def _read(self) -> None:
        for path in discovery.PATHS:
            found, self._etags[path] = await self._api.get_unless(
                path, discovery.groups, self._etags[path], discovery.ACCEPT
            )
            if found is not None:
                self._documents[path], self._news = found, True
