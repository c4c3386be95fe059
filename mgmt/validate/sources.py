"""The manifests to validate: which files, and to which cluster each belongs. Reads files, understands nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fingerpost.api.limits import LARGEST_FILE, mebibytes
from fingerpost.cluster.directory.tree import is_hidden, is_manifest

STDIN = "-"
MARK = ".fingerpost-clusters"


class Source(NamedTuple):
    """`name` is how findings call it. `data` None: it cannot be read, `error` says why, and what to do."""

    name: str
    cluster: str
    data: bytes | None
    error: str = ""


def read_sources(paths: Iterable[str], home: str, stdin: bytes = b"") -> list[Source]:
    """`home` is the name of the management cluster. `-` stands for `stdin`.

    A folder with a sub-folder named as the management cluster, or with a file `.fingerpost-clusters`, holds a folder
    per cluster; everything else belongs to the management cluster.
    """
    found: dict[str, Source] = {}
    for path in paths:
        if path == STDIN:
            found["<stdin>"] = _limited("<stdin>", home, stdin)
            continue
        for source in _from_path(Path(path), home):
            found.setdefault(source.name, source)
    return list(found.values())


def _from_path(path: Path, home: str) -> Iterator[Source]:
    if not os.path.isdir(path):
        yield _read(path, home, pipes=True)
        return
    split = os.path.isdir(path / home) or os.path.exists(path / MARK)
    for file, error in _files(path):
        inside = file.relative_to(path).parts
        cluster = inside[0] if split and len(inside) > 1 else home
        yield Source(str(file), cluster, None, error) if error else _read(file, cluster)


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Manifests, and with what is wrong, the folders that cannot be looked into."""
    try:
        entries = [(entry, entry.is_dir()) for entry in sorted(folder.iterdir())]
    except OSError as error:
        yield folder, f"the folder cannot be read ({error.strerror}); check its permissions"
        return
    for entry, is_folder in entries:
        if is_folder:
            if not is_hidden(entry.name):
                yield from _files(entry)
        elif is_manifest(entry.name):
            yield entry, ""


def _read(file: Path, cluster: str, *, pipes: bool = False) -> Source:
    """A file that was named may be a pipe, as the shell's `<(...)` is. What is neither may have no end."""
    name = str(file)
    try:
        mode = os.stat(file).st_mode
        if not stat.S_ISREG(mode) and not (pipes and stat.S_ISFIFO(mode)):
            message = "it is no regular file and is not read; name a file, a folder, or - for standard input"
            return Source(name, cluster, None, message)
        with open(file, "rb") as stream:
            return _limited(name, cluster, stream.read(LARGEST_FILE + 1))
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"the file cannot be read ({reason}); check the path and its permissions"
        return Source(name, cluster, None, message)


def _limited(name: str, cluster: str, data: bytes) -> Source:
    if len(data) <= LARGEST_FILE:
        return Source(name, cluster, data)
    most = f"it has more than the {mebibytes(LARGEST_FILE)} that are read"
    return Source(name, cluster, None, f"{most}; split it into several files")
