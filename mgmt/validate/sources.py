"""The manifests to validate: which files, and to which cluster each belongs. Reads files, understands nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fingerpost.cluster.directory.tree import is_hidden, is_manifest

STDIN = "-"
MARK = ".fingerpost-clusters"


class Source(NamedTuple):
    """`name` is how findings call it. `data` None: it cannot be read, `error` says why."""

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
            found["<stdin>"] = Source("<stdin>", home, stdin)
            continue
        for source in _from_path(Path(path), home):
            found.setdefault(source.name, source)
    return list(found.values())


def _from_path(path: Path, home: str) -> Iterator[Source]:
    if not path.is_dir():
        yield _read(path, home)
        return
    split = (path / home).is_dir() or (path / MARK).exists()
    for file in _files(path):
        inside = file.relative_to(path).parts
        yield _read(file, inside[0] if split and len(inside) > 1 else home)


def _files(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            if not is_hidden(entry.name):
                yield from _files(entry)
        elif is_manifest(entry.name):
            yield entry


def _read(file: Path, cluster: str) -> Source:
    try:
        return Source(str(file), cluster, file.read_bytes())
    except OSError as error:
        return Source(str(file), cluster, None, error.strerror or str(error))
