"""One file as it stands on the disk now. May run in a thread; knows nothing of what was there before."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fingerpost.cluster.directory.manifest import Manifest, read_manifest
from fingerpost.cluster.directory.tree import Signature, signature_of
from fingerpost.cluster.protocol import Finding


class Contents(NamedTuple):
    """`data` None: the file is not there, or `unreadable`."""

    path: str
    data: bytes | None
    signature: Signature | None = None
    unreadable: Finding | None = None


class Reading(NamedTuple):
    """`manifest` None: the file is not there, or `unreadable`."""

    path: str
    manifest: Manifest | None
    signature: Signature | None
    unreadable: Finding | None


def contents(root: Path, path: str) -> Contents:
    try:
        with open(root / path, "rb") as file:
            signature = signature_of(os.fstat(file.fileno()))
            return Contents(path, file.read(), signature)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Contents(path, None)
    except OSError as error:
        message = (
            f"file {path}: it cannot be read ({error.strerror}); its last good objects stay in force, make it readable"
        )
        return Contents(path, None, unreadable=Finding(path, "Unreadable", message))


def reading(found: Contents, cluster: str) -> Reading:
    manifest = None if found.data is None else read_manifest(found.path, found.data, cluster)
    return Reading(found.path, manifest, found.signature, found.unreadable)


def read_all(root: Path, paths: Iterable[str], cluster: str) -> list[Reading]:
    return [reading(contents(root, path), cluster) for path in paths]
