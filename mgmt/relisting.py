"""Uncached listings on demand: who was asked, and whose answer is complete (design D6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from mgmt.relay.ports import Fence, SessionControl

_FOLDER = ""  # stands for the server's own reading of the management cluster, beside the types of its agent


class Relisting:
    """`complete` gets each cluster whose listing has ended; what it brought may still wait for a turn."""

    def __init__(self, folder: Callable[[], None], management: str) -> None:
        self.complete: asyncio.Queue[str] = asyncio.Queue()
        self._folder, self._management = folder, management
        self._controls: dict[str, tuple[Fence, SessionControl, frozenset[str]]] = {}
        self._waiting: dict[str, set[str]] = {}

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
            waiting = self._waiting.setdefault(cluster, set())
            if cluster == self._management:
                waiting.add(_FOLDER)
                self._folder()
            if cluster in self._controls:
                _, control, types = self._controls[cluster]
                waiting |= types
                control.relist(())

    @property
    def here(self) -> frozenset[str]:
        """Clusters whose agents can be asked by this replica."""
        return frozenset(self._controls)

    @property
    def elsewhere(self) -> frozenset[str]:
        """Clusters that are waited for and can only be asked by another replica."""
        return frozenset(
            c for c, waiting in self._waiting.items() if c not in self._controls and _FOLDER not in waiting
        )

    def answered(self, cluster: str) -> None:
        """Another replica has the new listing, and what it brought is in Redis."""
        if self._waiting.pop(cluster, None) is not None:
            self.complete.put_nowait(cluster)

    def folder_listed(self) -> None:
        self.listed(self._management, _FOLDER)

    def listed(self, cluster: str, type_: str) -> None:
        waiting = self._waiting.get(cluster)
        if waiting is None:
            return
        waiting.discard(type_)
        if not waiting:
            del self._waiting[cluster]
            self.complete.put_nowait(cluster)
