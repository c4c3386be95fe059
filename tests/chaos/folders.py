"""Clusters that are folders: a file for each name, replaced in one move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.fleet import fleet_manifests as m


class Folders:
    def __init__(self, root: Path) -> None:
        self._root = root

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield

    def flags(self, cluster: str) -> dict[str, object]:
        return {"directory": self._root / cluster}

    def put(self, cluster: str, name: str, *objects: m.Object) -> None:
        m.write(self._root / cluster / f"{name}.yaml", *objects)

    def remove(self, cluster: str, name: str) -> None:
        (self._root / cluster / f"{name}.yaml").unlink()
