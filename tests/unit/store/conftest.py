"""A real Redis per test, in the test's own folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mgmt.store.embedded import EmbeddedRedis, embedded_redis


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    async with embedded_redis(tmp_path / "redis") as server:
        yield server
