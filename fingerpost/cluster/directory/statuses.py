"""Statuses as files in the state folder, one per object, replaced atomically and only when they differ. Never in the
watched folder.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.objects import ObjectKey, canonical

_NO_NAMESPACE = "_"  # no namespace can have this name


class StatusFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[ObjectKey, bytes | None] = {}

    def path(self, key: ObjectKey) -> Path:
        group, _, kind = key.type.rpartition("/")
        for part in (group, kind, key.name, key.namespace or _NO_NAMESPACE):
            if not part or part.startswith(".") or "/" in part or "\0" in part:
                raise ClusterFailed(
                    f'no status can be kept for {key}: "{part}" is no name of a file; rename the object'
                )
        return self._folder / f"{group}_{kind}" / (key.namespace or _NO_NAMESPACE) / f"{key.name}.json"

    def write(self, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        """True when the file was written."""
        body = canonical(status)
        if self._body(key) == body:
            return False
        path = self.path(key)
        fresh = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(body)
            os.replace(fresh, path)
        except OSError as error:
            raise ClusterFailed(
                f"the status of {key} cannot be written to {path}: {error.strerror}; make room or repair the folder"
            ) from error
        self._known[key] = body
        return True

    def read(self, key: ObjectKey) -> Any:
        """None when there is none, or none that can be read."""
        body = self._body(key)
        if body is None:
            return None
        with contextlib.suppress(msgspec.DecodeError):
            return msgspec.json.decode(body)
        return None

    def drop(self, key: ObjectKey) -> None:
        """The object is gone, and its status with it."""
        self._known.pop(key, None)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.path(key).unlink()

    def _body(self, key: ObjectKey) -> bytes | None:
        if key not in self._known:
            try:
                self._known[key] = self.path(key).read_bytes()
            except OSError:
                self._known[key] = None
        return self._known[key]
