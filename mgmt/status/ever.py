"""Which clusters ever had an agent: the memory that safe mode needs when Redis is empty (relay.md §7.3)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from fingerpost.api.admin.kubernetes_cluster import holding

log = structlog.get_logger()


class EverConnected:
    """A condition of the KubernetesCluster's status says so, and a file of this replica's own: where the management
    cluster is a folder, only the replica that leads writes statuses, each into its own state folder.
    """

    def __init__(self, read: Callable[[str], Any], file: Path | None = None) -> None:
        """`read(name)` gives the status of the KubernetesCluster as last written, None when there is none; `file` has
        a line per cluster.
        """
        self._read, self._file = read, file
        self._kept = self._lines()
        self._seen = set(self._kept)  # a no is not kept: the status may not have been read yet

    def __call__(self, name: str) -> bool:
        if name not in self._seen and holding(self._read(name), "EverConnected"):
            self._seen.add(name)
        return name in self._seen

    def saw(self, name: str) -> None:
        self._seen.add(name)
        if name not in self._kept:
            self._keep(self._kept | {name})

    def forget(self, name: str) -> None:
        """It is registered no longer; the next of this name is another."""
        self._seen.discard(name)
        if name in self._kept:
            self._keep(self._kept - {name})

    def _lines(self) -> frozenset[str]:
        if self._file is None:
            return frozenset()
        try:
            return frozenset(self._file.read_text(errors="replace").splitlines())
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            log.warning("clusters.ever.unread", file=str(self._file), reason=error.strerror)
            return frozenset()

    def _keep(self, names: frozenset[str]) -> None:
        self._kept = names
        if self._file is None:
            return
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text("".join(f"{name}\n" for name in sorted(names)))
            os.replace(fresh, self._file)
        except OSError as error:
            log.warning("clusters.ever.unwritten", file=str(self._file), reason=error.strerror)
