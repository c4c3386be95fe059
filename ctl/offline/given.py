"""Files and folders that were named with -f: whether they are there, and whether all of them could be read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ctl.exits import Code, Failed, usage
from fingerpost.api.limits import LARGEST_FILE
from mgmt.validate.report import Finding
from mgmt.validate.sources import MARK, STDIN

UNREADABLE = "Unreadable"  # the code of what could not be read at all


def check_paths(paths: Sequence[str]) -> None:
    """Raises Failed."""
    remedy = "name a file, a folder, or - for standard input"
    for path in paths:
        try:
            _ = path == STDIN or os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            raise usage(f"-f is {path}, which does not exist", remedy) from None
        except OSError as e:
            raise usage(f"-f is {path}, which cannot be read: {e.strerror}", remedy) from e


def check_belongs(cluster: str, given: Sequence[str]) -> None:
    """Raises Failed: a cluster is named, and nothing that belongs there."""
    if cluster and not given:
        raise usage("--cluster says where files belong, and there are none", "give them with -f, or leave it away")


_CALLED_STDIN = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")


def named(paths: Sequence[str]) -> list[str]:
    """Standard input by whatever name is `-`: as a path it may be a socket or a terminal, which cannot be opened."""
    return [STDIN if path in _CALLED_STDIN else path for path in paths]


def stdin(paths: Sequence[str]) -> bytes:
    """Where it was asked for; one byte more than is allowed says that there are too many."""
    return sys.stdin.buffer.read(LARGEST_FILE + 1) if STDIN in paths and sys.stdin is not None else b""


def check_fleet(flag: str, root: Path, management: str) -> None:
    """The folder holds a folder per cluster. Raises Failed."""
    remedy = "name a folder that holds a folder per cluster, and that you may read"
    try:
        names = os.listdir(root)
        whole = MARK in names or (management in names and (root / management).is_dir())
    except FileNotFoundError:
        raise usage(f"{flag} is {root}, which does not exist", remedy) from None
    except OSError as e:
        raise usage(f"{flag} is {root}, which cannot be read: {e.strerror}", remedy) from e
    if not whole:
        hint = "--management-cluster names the folder of that cluster"
        raise usage(f"{flag} is {root}, which holds no folder {management} of the management cluster", hint)


def check_readable(findings: Iterable[Finding]) -> None:
    """What could not be read may change everything: no answer is given without it. Raises Failed."""
    if found := [f for f in findings if f.code == UNREADABLE]:
        raise broken(found, "make it readable, or name another")


def broken(findings: Iterable[Finding], hint: str = "repair the files first") -> Failed:
    """Files that cannot be read as they are: a partial answer would mislead."""
    listed = list(findings)
    shown = [{"code": f.code, "severity": "error", "object": f.place, "message": f.message, "hint": ""} for f in listed]
    return Failed(Code.USAGE, "; ".join(f"{f.place}: {f.message}" for f in listed), hint, "BrokenFiles", shown)
