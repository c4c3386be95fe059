"""Fixtures of the tests of clusters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cluster.folder_world import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
