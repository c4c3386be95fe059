"""The folder that `translate` writes: per cluster and gateway a file per type of resource, Istio objects as manifests
of their own, one list of digests, and one of the files, by which a later run knows what it may take away.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ctl.exits import Code, Failed
from ctl.output import as_yaml
from fingerpost.readable import readable
from fingerpost.relay.objects import OBJECT, STATUS
from fingerpost.relay.pieces import PieceList, join
from mgmt.snapshot.outcome import Scopes

DIGESTS, FILES = "digests.txt", "files.txt"
_SHOWN = 3  # files named in a refusal
_FILES = {"cluster": "clusters", "listener": "listeners"}


class Entry(NamedTuple):
    """A resource and the file, relative to the folder, where it can be read."""

    cluster: str
    gateway: str
    type: str
    name: str
    pieces: PieceList
    file: str

    def as_json(self) -> dict[str, Any]:
        return {
            "cluster": self.cluster,
            "gateway": self.gateway,
            "type": self.type,
            "name": self.name,
            "hash": self.pieces.digest.hex(),
            "bytes": len(join(self.pieces)),
            "file": self.file,
        }


def entries(scopes: Scopes) -> list[Entry]:
    found = [
        Entry(cluster, scope, type_, name, pieces, _file(cluster, scope, type_, name))
        for (cluster, scope), resources in scopes.items()
        for (type_, name), pieces in resources.items()
    ]
    return sorted(found, key=lambda e: (e.cluster, e.gateway, e.type, e.name))


def _file(cluster: str, scope: str, type_: str, name: str) -> str:
    if type_ == STATUS:
        return f"{cluster}/statuses.yaml"
    if type_ == OBJECT:
        group, kind, namespace, own = name.split("/", 3)
        return f"{cluster}/{scope}/{kind}.{group}/{namespace}.{own}.yaml"
    return f"{cluster}/{scope.replace('/', '.')}/{_FILES.get(type_, type_)}.yaml"


def write(folder: Path, found: Iterable[Entry]) -> None:
    """Raises Failed: the folder holds something else, or cannot be written."""
    listed = list(found)
    by_file: dict[str, list[Entry]] = {}
    for entry in listed:
        by_file.setdefault(entry.file, []).append(entry)
    texts = {FILES: "".join(f"{file}\n" for file in sorted({DIGESTS, FILES, *by_file}))}
    texts[DIGESTS] = "".join(f"{e.pieces.digest.hex()}  {e.cluster}/{e.gateway}/{e.type}/{e.name}\n" for e in listed)
    new, begun = not folder.exists(), False
    try:
        _clear(folder)
        begun = True
        # before the files themselves, so that a run that was broken off can be repeated
        for file in (FILES, DIGESTS, *by_file):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(texts[file] if file in texts else _text(by_file[file]))
    except (OSError, UnicodeDecodeError) as e:
        if begun:
            _take_back(folder, (*by_file, DIGESTS, FILES), new=new)
        reason = e.strerror if isinstance(e, OSError) else f"{FILES} is not text"
        full = isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free space there, or name another folder" if full else "name another folder"
        raise Failed(Code.USAGE, f"{folder} cannot be written: {reason}", hint) from e


def _take_back(folder: Path, files: Iterable[str], *, new: bool) -> None:
    """Half of an answer would be taken for the whole."""
    with suppress(OSError):
        for file in files:
            (folder / file).unlink(missing_ok=True)
            _forget_empty(folder, file)
        if new:
            folder.rmdir()


def _forget_empty(folder: Path, file: str) -> None:
    """The folders above a file that is gone."""
    for parent in (folder / file).parents:
        if parent == folder or (parent.exists() and os.listdir(parent)):
            break
        with suppress(FileNotFoundError):
            parent.rmdir()


def _text(inside: list[Entry]) -> str:
    if inside[0].type == OBJECT:
        shown: Any = readable(OBJECT, inside[0].pieces)
    else:
        shown = [
            {"name": e.name, "hash": e.pieces.digest.hex(), "resource": readable(e.type, e.pieces)} for e in inside
        ]
    return as_yaml(shown) + "\n"


def _clear(folder: Path) -> None:
    """Only what an earlier run has written is taken away, and nothing where there is anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    there = _files(folder)
    ours = set((folder / FILES).read_text().splitlines()) if FILES in there else set()
    if not {DIGESTS, FILES} <= ours:  # somebody else's list
        ours = set()
    foreign = sorted(there - ours)
    if foreign:
        more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
        message = f"{folder} holds files that translate did not write: {', '.join(foreign[:_SHOWN])}{more}"
        raise Failed(Code.REFUSED, message, "name a new or empty folder, or one that only translate has written")
    for file in sorted(there - {FILES}):
        (folder / file).unlink()
        _forget_empty(folder, file)


def _files(folder: Path) -> set[str]:
    """All that are no folders, relative, at any depth. A link is a file: what it leads to is not in here."""
    found: set[str] = set()
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found |= {os.path.relpath(os.path.join(place, name), folder) for name in (*files, *links)}
    return found
