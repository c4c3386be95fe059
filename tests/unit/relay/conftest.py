from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from mgmt.relay.server import RelayServer, serve
from tests.unit.relay.support import FAST, Agent, FakeIngest, FakeMetrics, FakePublisher


class World(NamedTuple):
    ingest: FakeIngest
    publisher: FakePublisher
    metrics: FakeMetrics
    relay: RelayServer

    def agent(self, **more: object) -> Agent:
        return Agent(f"127.0.0.1:{self.relay.port}", **more)  # type: ignore[arg-type]  # test's own arguments


@pytest.fixture
async def world() -> AsyncIterator[World]:
    ingest, publisher, metrics = FakeIngest(), FakePublisher(), FakeMetrics()
    async with serve(ingest, publisher, settings=FAST, metrics=metrics) as relay:
        yield World(ingest, publisher, metrics, relay)
