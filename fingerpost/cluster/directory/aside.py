"""Large files, parsed beside the turns: an edit of another file does not wait for them.

It decides nothing. What was parsed counts only when the file is still the one that was read; otherwise its path is due
again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from fingerpost.cluster.directory.reading import Contents, Reading, reading
from fingerpost.cluster.directory.tree import signature_of

LARGE = 128 << 10  # bytes; this much YAML takes some 0.2 s


class Aside:
    """`wake` is called when there is something to take, or a path is due. At most one task per path."""

    def __init__(self, root: Path, cluster: str, wake: Callable[[], None]) -> None:
        self._root, self._cluster, self._wake = root, cluster, wake
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._done: list[Reading] = []
        self._due: set[str] = set()
        self._put_off: set[str] = set()

    @property
    def busy(self) -> bool:
        """Somewhere in what is being parsed there may be an object that another file has just lost."""
        return bool(self._tasks)

    def begin(self, found: Contents, group: asyncio.TaskGroup) -> None:
        if found.path not in self._tasks:  # else its signature will be found out of date
            work = self._parse(found)
            self._tasks[found.path] = group.create_task(work, name=f"cluster.{self._cluster}.parse.{found.path}")

    async def _parse(self, found: Contents) -> None:
        try:
            one = await asyncio.to_thread(reading, found, self._cluster)
            if self._stands(one):
                self._done.append(one)
            else:
                self._due.add(one.path)
        finally:
            del self._tasks[found.path]
            self._wake()

    def _stands(self, one: Reading) -> bool:
        try:
            return signature_of(os.stat(self._root / one.path)) == one.signature
        except OSError:
            return False

    def put_off(self, one: Reading) -> None:
        """Its path is due when nothing is being parsed any more."""
        self._put_off.add(one.path)

    def take(self) -> tuple[list[Reading], set[str]]:
        """What has been parsed, and the paths to be read again."""
        done, self._done = self._done, []
        due, self._due = self._due, set()
        if not self.busy:
            due |= self._put_off
            self._put_off = set()
        return done, due

    def forget(self) -> None:
        """Everything is read anew."""
        for task in self._tasks.values():
            task.cancel()
        self._done, self._due, self._put_off = [], set(), set()
