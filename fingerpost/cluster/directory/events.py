"""What happened in a folder, from inotify: files written and closed, moved, removed; folders that came or went.

It reports paths and reads no manifest. Where inotify is absent or exhausted it is `blind`, and the folder must be
walked from time to time.
"""

from __future__ import annotations

import asyncio
import contextlib
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fingerpost.cluster.directory.tree import is_hidden, is_manifest

try:
    from asyncinotify import Inotify, Mask
except (ImportError, AttributeError, OSError):  # not Linux, or no libc that has it
    Inotify = None

_MOUNTED_LINK = "..data"  # Kubernetes swaps this link when a mounted ConfigMap changes


class Happened(NamedTuple):
    """`walk`: folders changed. `all`: events were lost, so that every file counts as changed. `seen` is in
    nanoseconds since 1970.
    """

    files: frozenset[str]
    renames: tuple[tuple[str, str], ...]
    walk: bool
    all: bool
    seen: int


class FolderEvents:
    """Notes events as they come; `take` hands over all that are at hand."""

    def __init__(self, root: Path, on_event: Callable[[], None], *, poll_only: bool = False) -> None:
        self._root = root
        self._on_event = on_event
        self._files: set[str] = set()
        self._moved_away: dict[int, str] = {}
        self._renames: list[tuple[str, str]] = []
        self._walk = self._all = False
        self._seen = 0
        self._watches: dict[str, Any] = {}
        self._folders: dict[int, str] = {}
        self._inotify: Any = None
        self.blind = True
        if Inotify is not None and not poll_only:
            with contextlib.suppress(OSError):  # no instances left: be blind
                self._inotify = Inotify(cache_size=64, sync_timeout=0)
                self.blind = False
        if self._inotify is not None:
            asyncio.get_running_loop().add_reader(self._inotify.fd, self._drain)

    def close(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    def watch(self, folders: Iterable[str]) -> frozenset[str]:
        """Watch exactly these; the answer is those not watched before, whose files must be looked at again."""
        if self._inotify is None:
            return frozenset()
        wanted = set(folders)
        for folder in self._watches.keys() - wanted:
            self._forget(folder)
        fresh = set()
        for folder in sorted(wanted - self._watches.keys()):
            try:
                watch = self._inotify.add_watch(self._root / folder, _mask())
            except FileNotFoundError:
                continue
            except OSError:  # no watches left for this user
                self.blind = True
                continue
            self._watches[folder] = watch
            self._folders[watch.wd] = folder
            fresh.add(folder)
        return frozenset(fresh)

    def ask(self, *, everything: bool) -> None:
        """As if an event had said so."""
        self._walk = True
        self._all = self._all or everything
        self._wake()

    def take(self) -> Happened:
        happened = Happened(frozenset(self._files), tuple(self._renames), self._walk, self._all, self._seen)
        self._files = set()
        self._renames = []
        self._moved_away = {}
        self._walk = self._all = False
        self._seen = 0
        return happened

    def _wake(self) -> None:
        self._seen = self._seen or time.time_ns()
        self._on_event()

    def _drain(self) -> None:
        before = len(self._files), self._walk
        while (event := self._inotify.sync_get()) is not None:
            self._note(event)
        if (len(self._files), self._walk) != before:
            self._wake()

    def _note(self, event: Any) -> None:
        mask = event.mask
        if mask & Mask.Q_OVERFLOW:
            self._walk = self._all = True
            return
        watch = event.watch
        folder = self._folders.get(watch.wd) if watch is not None else None
        if folder is None:
            return
        name = str(event.name) if event.name is not None else ""
        path = f"{folder}/{name}" if folder else name
        if not name:
            if mask & Mask.IGNORED:
                self._watches.pop(folder, None)
                self._folders.pop(watch.wd, None)
            elif not folder:  # the root itself moved away: what is watched is no longer what the path names
                for watched in list(self._watches):
                    self._forget(watched)
            self._walk = True
        elif mask & Mask.ISDIR:
            self._note_folder(path, mask)
        else:
            self._note_file(path, name, mask, event.cookie)

    def _note_folder(self, path: str, mask: Any) -> None:
        if mask & Mask.MOVED_FROM:
            for folder in [f for f in self._watches if f == path or f.startswith(path + "/")]:
                self._forget(folder)
        self._walk = self._walk or not is_hidden(path.rpartition("/")[2])

    def _note_file(self, path: str, name: str, mask: Any, cookie: int) -> None:
        if name == _MOUNTED_LINK or path in self._watches:
            self._walk = True
        elif is_manifest(name):
            if mask & Mask.MOVED_FROM:
                self._moved_away[cookie] = path
            elif mask & Mask.MOVED_TO and cookie in self._moved_away:
                self._renames.append((self._moved_away.pop(cookie), path))
            if not mask & Mask.CREATE or self._is_complete(path):
                self._files.add(path)
        elif mask & (Mask.CREATE | Mask.MOVED_TO) and not is_hidden(name) and (self._root / path).is_symlink():
            self._walk = True

    def _is_complete(self, path: str) -> bool:
        """A link is there with its contents at once; a file being written will be closed later."""
        try:
            found = (self._root / path).lstat()
        except OSError:
            return False
        if stat.S_ISLNK(found.st_mode):
            self._walk = True
        return found.st_nlink > 1 or stat.S_ISLNK(found.st_mode)

    def _forget(self, folder: str) -> None:
        watch = self._watches.pop(folder)
        self._folders.pop(watch.wd, None)
        with contextlib.suppress(OSError):  # the folder is gone, and the watch with it
            self._inotify.rm_watch(watch)


def _mask() -> Any:
    return (
        Mask.CLOSE_WRITE
        | Mask.MOVED_TO
        | Mask.MOVED_FROM
        | Mask.DELETE
        | Mask.CREATE
        | Mask.DELETE_SELF
        | Mask.MOVE_SELF
        | Mask.ONLYDIR
    )
