"""One file as it stands on the disk now. May run in a thread; knows nothing of what was there before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fingerpost.api.limits import LARGEST_FILE, mebibytes
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
        # a pipe is opened without waiting for its other end; what is no file is never read, it may have no end
        # a Path of each file would make its name a part that Python keeps a place for
        with open(os.open(os.path.join(root, path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return _unusable(path, "Unreadable", "it is no regular file", "put a file in its place")
            data = file.read(LARGEST_FILE + 1)
            if len(data) > LARGEST_FILE:
                size = f"it has {max(found.st_size, len(data))} bytes, at most {mebibytes(LARGEST_FILE)} are read"
                return _unusable(path, "TooLarge", size, "split it into several files")
            return Contents(path, data, signature_of(found))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return Contents(path, None)
    except OSError as error:
        return _unusable(path, "Unreadable", f"it cannot be read ({error.strerror})", "make it readable")


def _unusable(path: str, code: str, reason: str, remedy: str) -> Contents:
    message = f"file {path}: {reason}; its last good objects stay in force, {remedy}"
    return Contents(path, None, unreadable=Finding(path, code, message))


def reading(found: Contents, cluster: str) -> Reading:
    manifest = None if found.data is None else read_manifest(found.path, found.data, cluster)
    if found.data is not None and not found.data.strip():
        message = f"file {found.path} is empty: it holds no document; if that is meant, write a comment into it"
        manifest = Manifest((), (Finding(found.path, "EmptyFile", message),))
    return Reading(found.path, manifest, found.signature, found.unreadable)


def read_all(found: Iterable[Contents], cluster: str) -> list[Reading]:
    return [reading(one, cluster) for one in found]
