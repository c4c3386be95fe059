"""A real Redis per test, and replicas on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from ingest_support import Folder, Replica

from mgmt.store.embedded import EmbeddedRedis, embedded_redis

Start = Callable[..., Awaitable[Replica]]


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    async with embedded_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def folder() -> Folder:
    found = Folder()
    for name in ("east", "west"):
        found.register(name)
    return found


@pytest.fixture
async def start(redis: EmbeddedRedis, folder: Folder) -> AsyncIterator[Start]:
    """`await start("a/1")`: a replica that runs and watches the folder."""
    replicas: list[Replica] = []

    async def start(name: str, **settings: Any) -> Replica:
        replica = Replica(settings.pop("url", redis.url), name, settings.pop("folder", folder), **settings)
        replicas.append(await replica.start())
        return replica

    yield start
    for replica in replicas:
        await replica.stop()
