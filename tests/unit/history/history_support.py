"""A recorder without a server: inputs, a clock and the lead are the test's."""

from __future__ import annotations

import json
from typing import Any, Self

from fingerpost.objects import ObjectKey, canonical, content_hash
from mgmt.history.recorder import HistorySettings, Recorder
from mgmt.ingest.inputs import Inputs
from mgmt.store.history import HistoryStore
from mgmt.store.redis_store import RedisStore
from mgmt.store.settings import StoreSettings
from mgmt.store.values import Stored

TABLE = "networking.gloo.solo.io/RouteTable"
SECOND = 1_000_000_000


def table(name: str, cluster: str = "mgmt") -> ObjectKey:
    return ObjectKey(TABLE, cluster, "shop", name)


def body(text: str) -> bytes:
    return canonical({"spec": text})


class Recording:
    """One replica's recorder."""

    def __init__(self, url: str, settings: HistorySettings) -> None:
        self.inputs, self.seq, self.leads, self.now = Inputs(), 0, True, 1000 * SECOND
        self.store = HistoryStore(StoreSettings(url=url))
        self.recorder = Recorder(self.store, self, settings, lambda: self.now)
        self.recorder.listed = frozenset({"mgmt"})

    @classmethod
    async def on(cls, url: str, settings: HistorySettings = HistorySettings()) -> Self:  # noqa: B008  (a frozen value)
        made = cls(url, settings)
        inputs = RedisStore(StoreSettings(url=url), "test/1")
        await inputs.attach(0)
        await inputs.close()
        return made

    async def close(self) -> None:
        await self.store.close()

    def edit(self, changes: dict[ObjectKey, bytes | None]) -> int:
        """One turn, of which the recorder is told."""
        self.put(changes)
        self.recorder.note(self.seq, changes, lambda: [("east", "gw/ingress")])
        return self.seq

    def put(self, changes: dict[ObjectKey, bytes | None]) -> None:
        """One turn that it misses."""
        self.seq += 3
        for key, text in changes.items():
            self.inputs.put(key, Stored(content_hash(text), text) if text is not None else None)

    async def numbers(self) -> list[int]:
        await self.recorder.flush()
        return list((await self.store.range()).numbers)

    async def told(self, number: int) -> list[tuple[str, str]]:
        """(name, action) of each change."""
        found: dict[str, Any] = (await self.store.logs([number]))[number]
        return [(change[3], change[4]) for change in found["changes"]]

    async def state(self, number: int) -> dict[str, Any]:
        return {k.name: json.loads(v)["spec"] for k, v in (await self.store.at(number)).objects.items()}
