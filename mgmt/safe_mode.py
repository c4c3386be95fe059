"""After a start: who may be served, while clusters are missing that are known from before (relay.md §7.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mgmt.ingest.ingest import Ingest
from mgmt.ingest.values import ClusterStates, State
from mgmt.publish.publisher import Publisher
from mgmt.settings import Settings


class SafeMode:
    """`ingest` begins later. `folder`: there is a management cluster to be listed."""

    def __init__(self, settings: Settings, ingest: Callable[[], Ingest], publisher: Publisher, *, folder: bool) -> None:
        self.on = settings.safe_mode == "on"  # what depends on a missing cluster is kept for as long as that is missing
        self._window = settings.safe_start_window if settings.safe_mode == "off" else None
        self._window_over = False
        self._ingest, self._publisher, self._folder = ingest, publisher, folder

    def look(self) -> None:
        """After each turn."""
        states = self._ingest().states
        if self._folder and states.management.state not in (State.WARM, State.CACHED):
            return
        self._publisher.ask_agents()
        if self._may_serve(states):
            self._publisher.open_for_agents()

    def _may_serve(self, states: ClusterStates) -> bool:
        """What is asked for besides keeps. Nobody is asked or served before the folder was listed."""
        waiting = any(not state.ready for state in states.clusters.values())
        return self.on or not waiting or self._window_over

    def is_cold(self, cluster: str) -> bool:
        """Just after the start nothing is known of an agent that is not back yet: what its gateways had, they have."""
        state = self._ingest().states.clusters.get(cluster)
        return state is not None and not state.ready and not self._window_over

    async def run(self) -> None:
        """With safe mode off, clusters are waited for so long and no longer."""
        if self._window is not None:
            await asyncio.sleep(self._window)
            self._window_over = True
            await self._ingest().settled()
            self._publisher.open_for_agents()
