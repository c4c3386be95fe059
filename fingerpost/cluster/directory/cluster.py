"""DirectoryCluster: a folder of manifests as a cluster (design D8).

This is the shell around `folder`: it waits for events, reads what changed, hands changes to watchers and has records
written later.
Statuses and state go to the state folder, never into the watched one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import structlog

from fingerpost.cluster.directory.aside import LARGE, Aside
from fingerpost.cluster.directory.events import FolderEvents, Happened
from fingerpost.cluster.directory.folder import Folder
from fingerpost.cluster.directory.reading import Contents, Reading, contents, read_all
from fingerpost.cluster.directory.records import Records
from fingerpost.cluster.directory.statuses import StatusFiles
from fingerpost.cluster.directory.tree import walk
from fingerpost.cluster.feeds import Feed
from fingerpost.cluster.protocol import Batch, Change, ClusterFailed, Finding
from fingerpost.objects import ObjectKey

log = structlog.get_logger()
_T = TypeVar("_T")

# seconds without further losses before a loss is believed: `rm -r` and editors that write anew take that long
QUIET = 0.05
QUIET_LIMIT = 5.0
POLL = 0.25  # only while the root is missing, or without inotify
WRITE_BEHIND = 0.5
_INLINE_FILES = 8
_INLINE_BYTES = 32_768  # parsing more than this would hold up the event loop


class DirectoryCluster:
    """Use as `async with`: it lists the folder on entry and follows it until exit.

    `keep_secrets`: the last good data of Secrets goes to the state folder (mode 0600) too, so that
    a broken file with Secrets survives a restart. Only for the agent of the cluster that the Secrets belong to.
    """

    def __init__(
        self, name: str, root: Path, state: Path, *, keep_secrets: bool = False, poll_only: bool = False
    ) -> None:
        self._name = name
        self._root = root
        self._state = state
        self._poll_only = poll_only
        self._records = Records(state, name, keep_secrets=keep_secrets)
        self._statuses = StatusFiles(state / "status")
        self._heard: Callable[[ObjectKey], None] = lambda _: None
        self._feeds: list[Feed] = []
        self._woken = asyncio.Event()
        self._unsaved = asyncio.Event()
        self._relists: list[asyncio.Future[None]] = []
        self._releases: list[asyncio.Future[int]] = []
        self._first_loss = self._last_loss = 0.0
        self._unwritten: tuple[Finding, ...] = ()
        self._uid = ""
        self._aside = Aside(root, name, self._woken.set)
        self._folder: Folder
        self._events: FolderEvents
        self._tasks: asyncio.TaskGroup

    @property
    def name(self) -> str:
        return self._name

    @property
    def uid(self) -> str:
        return self._uid

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that hold now."""
        return self._folder.findings() + self._unwritten

    @property
    def held(self) -> int:
        """How many objects wait for `release`."""
        return self._folder.held

    async def __aenter__(self) -> Self:
        """Raises ClusterFailed when the state folder cannot be used."""
        remembered = await asyncio.to_thread(self._records.open, str(uuid4()))
        self._uid = remembered.uid
        self._folder = Folder(self._root, self._name, self._records, remembered)
        self._events = FolderEvents(self._root, self._woken.set, poll_only=self._poll_only)
        self._events.ask(everything=True)
        await self._turn(first=True)
        for key in self._folder.forget_absent():
            self._statuses.drop(key)
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._following = self._tasks.create_task(self._follow(), name=f"cluster.{self._name}.follow")
        self._saving = self._tasks.create_task(self._save(), name=f"cluster.{self._name}.save")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._following.cancel()
        self._saving.cancel()
        self._aside.forget()
        try:
            if isinstance(error, asyncio.CancelledError):  # perhaps the group's own doing
                await self._tasks.__aexit__(kind, error, trace)
            else:
                await self._tasks.__aexit__(None, None, None)
        finally:
            self._events.close()
            if self._records.dirty:
                self._records.write(self._records.take())
            self._records.close()

    async def watch(self, types: Collection[str] | None = None) -> AsyncIterator[Batch]:
        feed = Feed(types)
        feed.list(self._folder.bodies, self.findings, 0, listed=self._folder.listable)
        self._feeds.append(feed)
        try:
            while True:
                yield await feed.next()
        finally:
            self._feeds.remove(feed)

    async def relist(self) -> frozenset[str]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._relists.append(done)
        self._woken.set()
        await done
        return frozenset({"*"} if self._folder.root_missing else ())

    async def release(self) -> int:
        """A person says that what is gone may go; the answer is the number of objects let go."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._releases.append(done)
        self._woken.set()
        return await done

    @property
    def outputs(self) -> None:
        """The folder is the users'."""

    def want(self, type_: str, names: Collection[tuple[str, str]]) -> None:
        """A folder is read whole."""

    def unread(self, type_: str) -> frozenset[tuple[str, str]]:
        return frozenset()

    async def write_status(self, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        """Raises ClusterFailed."""
        written = await asyncio.to_thread(self._statuses.write, key, status)
        if key in self._folder.bodies:
            return written
        self._statuses.drop(key)  # the object went meanwhile, and perhaps before the file was there
        return False

    def hear_statuses(self, heard: Callable[[ObjectKey], None]) -> None:
        """Of objects that appear: with the former one of the name its status has gone. Nobody else writes statuses."""
        self._heard = heard

    def status(self, key: ObjectKey) -> Any:
        """As last written; None when there is none."""
        return self._statuses.read(key)

    async def _follow(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            try:
                async with asyncio.timeout(self._patience(clock())):
                    await self._woken.wait()
            except TimeoutError:
                if self._folder.root_missing or self._events.blind:
                    self._events.ask(everything=True)
            self._woken.clear()
            await self._turn()

    def _patience(self, now: float) -> float | None:
        waits = []
        if self._folder.uncertain and not self._aside.busy:
            waits.append(max(0.0, min(self._last_loss + QUIET, self._first_loss + QUIET_LIMIT) - now))
        if self._folder.root_missing or self._events.blind:
            waits.append(POLL)
        return min(waits, default=None)

    async def _turn(self, *, first: bool = False) -> None:
        happened = self._events.take()
        relists, self._relists = self._relists, []
        releases, self._releases = self._releases, []
        forced = first or bool(relists)
        known = self.findings if not first else ()
        listable = self._folder.listable
        for old, new in happened.renames:
            self._folder.rename(old, new)
        if forced:
            self._aside.forget()
        parsed, paths = self._aside.take()
        paths |= happened.files
        if happened.walk or forced:
            paths |= await self._compare(happened, forced=forced)
        doubted = len(self._folder.uncertain)
        for one in parsed + await self._read(paths, whole=forced):
            if self._aside.busy and self._folder.loses(one):
                self._aside.put_off(one)  # what it loses may be in what is being parsed
            else:
                self._folder.take(one)
        await self._conclude(doubted, at_once=forced or bool(releases))
        released = self._folder.release() if releases else 0
        changes = self._folder.settle()
        for key, body in changes:
            if body is None:
                self._statuses.drop(key)
            else:
                self._heard(key)
        findings = self.findings
        anew = bool(relists) or listable != self._folder.listable
        if anew or changes or findings != known:
            self._tell(changes, findings, happened.seen, anew=anew)
        _say(known, findings)
        if self._records.dirty:
            self._unsaved.set()
        _answer(relists, None)
        _answer(releases, released)

    def _tell(self, changes: list[Change], findings: tuple[Finding, ...], seen: int, *, anew: bool) -> None:
        for feed in self._feeds:
            feed.change(changes, findings, seen)
            if anew:
                feed.list(self._folder.bodies, findings, seen, listed=self._folder.listable)

    async def _compare(self, happened: Happened, *, forced: bool) -> set[str]:
        """Watch folders before looking at their files, so that no file is missed in between."""
        fresh: frozenset[str] = frozenset()
        while True:
            tree = await asyncio.to_thread(walk, self._root, self._state)
            added = self._events.watch(tree.folders if tree else ())
            fresh |= added
            if not added:
                everything = happened.all or self._events.blind
                return self._folder.compare(tree, fresh, everything=everything, forced=forced)

    async def _read(self, paths: Collection[str], *, whole: bool) -> list[Reading]:
        """`whole`: large files too, which else come later."""
        if len(paths) > _INLINE_FILES:
            found = await asyncio.to_thread(lambda: [contents(self._root, path) for path in sorted(paths)])
        else:
            found = [contents(self._root, path) for path in sorted(paths)]
        if not whole:
            for one in found:
                if _size(one) > LARGE:
                    self._aside.begin(one, self._tasks)
            found = [one for one in found if _size(one) <= LARGE]
        if len(found) > _INLINE_FILES or sum(map(_size, found)) > _INLINE_BYTES:
            return await asyncio.to_thread(read_all, found, self._name)
        return read_all(found, self._name)

    async def _conclude(self, doubted: int, *, at_once: bool) -> None:
        """Believe losses after some quiet: then read the files in doubt once more."""
        if not self._folder.uncertain:
            return
        now = asyncio.get_running_loop().time()
        if len(self._folder.uncertain) > doubted:
            self._first_loss = self._first_loss if doubted else now
            self._last_loss = now
        quiet = now >= min(self._last_loss + QUIET, self._first_loss + QUIET_LIMIT) and not self._aside.busy
        if at_once or quiet:
            self._folder.conclude(await self._read(self._folder.uncertain, whole=True))

    async def _save(self) -> None:
        while True:
            await self._unsaved.wait()
            await asyncio.sleep(WRITE_BEHIND)
            self._unsaved.clear()
            noted = self._records.take()
            try:
                await asyncio.to_thread(self._records.write, noted)
            except asyncio.CancelledError:  # nobody will know whether it was written, so the last write has it again
                self._records.put_back(noted)
                raise
            except ClusterFailed as failed:
                self._records.put_back(noted)
                self._unsaved.set()
                self._say_unwritten((Finding("", "StateNotWritten", f"{failed}; make room or repair the folder"),))
            else:
                self._say_unwritten(())

    def _say_unwritten(self, findings: tuple[Finding, ...]) -> None:
        if self._unwritten != findings:
            _say(self._unwritten, findings)
            self._unwritten = findings
            for feed in self._feeds:
                feed.change((), self.findings, 0)


def _size(found: Contents) -> int:
    return len(found.data or b"")


def _say(known: Collection[Finding], findings: Collection[Finding]) -> None:
    """Each once, when it comes up."""
    for finding in findings:
        if finding not in known:
            log.warning("cluster.source.finding", source=finding.source, code=finding.code, message=finding.message)


def _answer(waiting: list[asyncio.Future[_T]], result: _T) -> None:
    for future in waiting:
        if not future.done():  # who asked may be gone
            future.set_result(result)
