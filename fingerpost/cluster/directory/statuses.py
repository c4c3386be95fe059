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
from fingerpost.objects import ObjectKey, canonical, content_hash

_NO_NAMESPACE = "_"  # no namespace can have this name
_LONGEST = 245  # with what `write` puts around it, a name of a file has 255 bytes, which file systems take


class StatusFiles:
    """`_known`: hashes of what the files hold; None: there is none."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._known: dict[ObjectKey, bytes | None] = {}

    def path(self, key: ObjectKey) -> Path:
        return Path(self._path(key))

    def _path(self, key: ObjectKey) -> str:
        """As text, since there is one for each object: Python keeps a place for every part of a Path."""
        group, _, kind = key.type.rpartition("/")
        for part in (group, kind, key.name, key.namespace or _NO_NAMESPACE):
            if not part or part.startswith(".") or "/" in part or "\0" in part:
                raise ClusterFailed(
                    f'no status can be kept for {key}: "{part}" is no name of a file; rename the object'
                )
        return f"{self._folder}/{group}_{kind}/{key.namespace or _NO_NAMESPACE}/{_file_name(key.name)}.json"

    def write(self, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        """True when the file was written."""
        body = canonical(status)
        now = content_hash(body)
        if key not in self._known:
            self._body(key)
        if self._known[key] == now:
            return False
        path = self._path(key)
        folder, _, name = path.rpartition("/")
        fresh = f"{folder}/.{name}.new"
        try:
            os.makedirs(folder, exist_ok=True)
            with open(fresh, "wb") as file:
                file.write(body)
            os.replace(fresh, path)
        except OSError as error:
            raise ClusterFailed(
                f"the status of {key} cannot be written to {path}: {error.strerror}; make room or repair the folder"
            ) from error
        self._known[key] = now
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
        """The object is gone, and its status with it. What cannot be deleted stays: nobody waits for it."""
        self._known.pop(key, None)
        with contextlib.suppress(OSError, ClusterFailed):
            os.unlink(self._path(key))

    def _body(self, key: ObjectKey) -> bytes | None:
        body = None
        with contextlib.suppress(OSError), open(self._path(key), "rb") as file:
            body = file.read()
        self._known[key] = content_hash(body) if body is not None else None
        return body


def _file_name(name: str) -> str:
    """Objects may have longer names than files. No name of an object with a status has an underscore."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 33]}_{content_hash(name.encode()).hex()[:32]}"
