"""Uncached listings on demand: who was asked, and whose answer is complete (design D6)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Never

from mgmt.relay.ports import Fence, SessionControl

_FOLDER = ""  # stands for the server's own reading of the management cluster, beside the types of its agent


class Relisting:
    """A listing answers no demand that came after it had begun."""

    def __init__(self, management: str) -> None:
        self._management = management
        self._complete: asyncio.Queue[str] = asyncio.Queue()  # what they brought may still wait for a turn
        self._folder = asyncio.Event()
        self._controls: dict[str, tuple[Fence, SessionControl, frozenset[str]]] = {}
        self._waiting: dict[str, set[str]] = {}
        self._demands: Counter[str] = Counter()

    def opened(self, cluster: str, fence: Fence, control: SessionControl, types: Collection[str]) -> None:
        self._controls[cluster] = (fence, control, frozenset(types))
        if cluster in self._waiting:
            self.demand((cluster,))

    def closed(self, cluster: str, fence: Fence) -> None:
        if cluster in self._controls and self._controls[cluster][0] == fence:
            del self._controls[cluster]

    def demand(self, clusters: Collection[str]) -> None:
        """A cluster whose agent is not connected is asked when it comes back, here or at another replica."""
        for cluster in clusters:
            self._demands[cluster] += 1
            waiting = self._waiting.setdefault(cluster, set())
            if cluster == self._management:
                waiting.add(_FOLDER)
                self._folder.set()
            if cluster in self._controls:
                _, control, types = self._controls[cluster]
                waiting |= types
                control.relist(())

    @property
    def here(self) -> frozenset[str]:
        """Clusters whose agents can be asked by this replica."""
        return frozenset(self._controls)

    @property
    def elsewhere(self) -> Mapping[str, int]:
        """Clusters that are waited for and can only be asked by another replica -> how often that was demanded."""
        return {
            cluster: self._demands[cluster]
            for cluster, waiting in self._waiting.items()
            if cluster not in self._controls and _FOLDER not in waiting
        }

    async def list_folder(self, relist: Callable[[], Awaitable[object]]) -> Never:
        """Has the server's own reading of the management cluster listed anew, whenever that is demanded."""
        while True:
            await self._folder.wait()
            self._folder.clear()
            await relist()
            if not self._folder.is_set():
                self.listed(self._management, _FOLDER)

    async def concluded(self, settled: Callable[[], Awaitable[None]]) -> str:
        """The next cluster of which everything that was demanded has been listed and, says `settled`, translated."""
        while True:
            cluster = await self._complete.get()
            await settled()
            if cluster not in self._waiting:  # or that turn has lost something of which the listing says nothing
                return cluster

    def answered(self, cluster: str) -> None:
        """Another replica has the new listing, and what it brought is in Redis."""
        if self._waiting.pop(cluster, None) is not None:
            self._complete.put_nowait(cluster)

    def listed(self, cluster: str, type_: str) -> None:
        waiting = self._waiting.get(cluster)
        if waiting is None:
            return
        waiting.discard(type_)
        if not waiting:
            del self._waiting[cluster]
            self._complete.put_nowait(cluster)
