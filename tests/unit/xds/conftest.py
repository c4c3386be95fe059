"""Fixtures of the xDS tests: an agent's xDS side without the rest of the agent, and a real Envoy in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from xds_hosts import Echo
from xds_support import Backend, Rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig(tmp_path).running() as rig:
        yield rig


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with Backend("one").running() as backend:
        yield backend


@pytest.fixture
async def echo() -> AsyncIterator[Backend]:
    async with Echo("echo").running() as backend:
        yield backend
