"""A folder of manifests in a temporary place, and a watcher that waits for conditions instead of sleeping."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec

from fingerpost.cluster.directory import DirectoryCluster
from fingerpost.cluster.protocol import Batch, Finding
from fingerpost.objects import ObjectKey


class Watcher:
    """The world as a watcher knows it after the batches it has seen."""

    def __init__(self, batches: AsyncIterator[Batch]) -> None:
        self._batches = batches
        self.objects: dict[ObjectKey, Any] = {}
        self.findings: tuple[Finding, ...] = ()
        self.listed = False

    async def next(self, seconds: float = 5) -> Batch:
        async with asyncio.timeout(seconds):
            batch = await anext(self._batches)
        if batch.listed:
            self.objects.clear()
            self.listed = True
        for key, body in batch.changes:
            if body is None:
                self.objects.pop(key, None)
            else:
                self.objects[key] = msgspec.json.decode(body)
        self.findings = batch.findings
        return batch

    async def until(self, met: Callable[[], bool], seconds: float = 5) -> list[Batch]:
        seen = []
        while not met():
            seen.append(await self.next(seconds))
        return seen

    @property
    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings]

    def named(self, name: str) -> Any:
        """The object with this name; None when there is none."""
        return next((o for key, o in self.objects.items() if key.name == name), None)


class Place:
    def __init__(self, base: Path) -> None:
        self.root = base / "root"
        self.state = base / "state"
        self.root.mkdir()

    def write(self, path: str, text: str) -> None:
        """Complete at once, as editors and GitOps tools do it."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.fresh")
        fresh.write_text(text)
        os.replace(fresh, target)

    def cluster(self, **options: Any) -> DirectoryCluster:
        return DirectoryCluster("c1", self.root, self.state, **options)


def table(name: str, host: str = "a.example.com", namespace: str = "shop") -> str:
    return f"""\
apiVersion: networking.gloo.solo.io/v2
kind: RouteTable
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{hosts: [{host}]}}
"""


def hosts(obj: Any) -> Any:
    return obj and obj["spec"]["hosts"]
