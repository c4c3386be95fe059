"""A real Redis, and a recorder on it whose inputs a test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from history_support import Recording

from mgmt.store.embedded import EmbeddedRedis, embedded_redis


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    async with embedded_redis(tmp_path / "redis", fsync="no") as server:
        yield server


@pytest.fixture
async def recording(redis: EmbeddedRedis) -> AsyncIterator[Recording]:
    made = await Recording.on(redis.url)
    yield made
    await made.close()
