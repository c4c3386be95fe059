"""The files of a folder: which of them are manifests, and what stands on the disk now. Follows links to folders, as
mounted ConfigMaps need.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NewType

_ENDINGS = (".yaml", ".yml")
_TEMPORARY = ("~", "#")  # what editors begin or end their own files with


Signature = NewType("Signature", bytes)  # two equal ones of one path mean an unchanged file


class Entry(NamedTuple):
    signature: Signature
    linked: bool  # the file, or a folder above it, is a symbolic link: its changes raise no event here
    folder: str


class Tree(NamedTuple):
    """Paths are relative to the root; the root itself is ""."""

    files: dict[str, Entry]
    folders: frozenset[str]


def is_manifest(name: str) -> bool:
    return name.endswith(_ENDINGS) and not name.startswith((".", *_TEMPORARY)) and not name.endswith(_TEMPORARY)


def is_hidden(name: str) -> bool:
    return name.startswith(".")


def signature_of(found: os.stat_result) -> Signature:
    return Signature(struct.pack("=qQQQ", found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev))


def walk(root: Path, excluded: Path) -> Tree | None:
    """None when the root is no folder. `excluded` (the state folder) is left out wherever it lies."""
    if not os.path.isdir(root):  # also False where it cannot be looked at
        return None
    files: dict[str, Entry] = {}
    folders: set[str] = set()
    seen: set[tuple[int, int]] = set()
    shut = _identity(excluded)
    pending = [("", False)]
    while pending:
        folder, linked = pending.pop()
        identity = _identity(root / folder)
        if identity is None or identity in seen or identity == shut:
            continue
        seen.add(identity)
        folders.add(folder)
        for entry in _entries(root / folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            try:
                found = entry.stat()
                link = linked or entry.is_symlink()
            except OSError:
                continue
            if stat.S_ISDIR(found.st_mode):
                if not is_hidden(entry.name):
                    pending.append((path, link))
            elif stat.S_ISREG(found.st_mode) and is_manifest(entry.name):
                files[path] = Entry(signature_of(found), link, folder)
    return Tree(files, frozenset(folders))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from found
    except OSError:
        return


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
