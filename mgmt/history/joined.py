"""The parts of the history, joined: what a server starts, tells and asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fingerpost.secrets.protocol import Secrets
from mgmt.history.keeping import Keeping
from mgmt.history.recorder import HistorySettings, Recorder
from mgmt.history.rollbacks import Rollbacks
from mgmt.ingest.ingest import Ingest
from mgmt.ingest.values import ClusterStates, State
from mgmt.pipeline import Pipeline
from mgmt.publish.publisher import Publisher
from mgmt.store.history import HistoryStore

_LISTED = (State.WARM, State.CACHED)


class History:
    def __init__(
        self,
        store: HistoryStore,
        secrets: Secrets,
        ingest: Ingest,
        pipeline: Pipeline,
        publisher: Publisher,
        settings: HistorySettings,
        now: Callable[[], int],
    ) -> None:
        self._ingest = ingest
        self._recorder = Recorder(store, ingest, settings, now)
        self._keeping = Keeping(secrets, ingest)
        self.rollbacks = Rollbacks(store, self._recorder, pipeline.outputs, publisher, ingest, now)
        pipeline.on_changed = self._recorder.note
        pipeline.outputs.moved = self._keeping.changed

    def states(self, management: str, states: ClusterStates) -> None:
        """The state of the clusters is another one now."""
        known = {**states.clusters, management: states.management}
        self._recorder.listed = frozenset(name for name, state in known.items() if state.state in _LISTED)

    async def begin(self) -> None:
        """Before anybody is served, and once ingest knows what Redis holds."""
        if await self._keeping.restore():
            await self._ingest.settled()

    async def run(self) -> None:
        """For ever, after `begin`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="mgmt.history.record")
            group.create_task(self._keeping.run(), name="mgmt.history.keep")
