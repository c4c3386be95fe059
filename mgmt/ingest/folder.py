"""The server's own reading of the management cluster (design D8).

One replica writes it, the others watch and stand by.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from fnmatch import fnmatchcase
from typing import Never

import structlog

from fingerpost.cluster.protocol import Batch, Cluster, Finding
from fingerpost.objects import ObjectKey, content_hash
from mgmt.ingest.identity import adopt
from mgmt.ingest.inputs import Inputs
from mgmt.ingest.kinds import REFUSED, SESSION, read_by_server, record_key, source_of
from mgmt.ingest.states import Phase, SessionRecord, encode
from mgmt.ingest.turns import Turns
from mgmt.store.values import SERVER, Stored

log = structlog.get_logger()
_AGAIN = 30.0  # seconds until what could not be listed is tried again


class ManagementFolder:
    """`view` is what this replica has read; it becomes input while the replica holds the source `server`."""

    def __init__(
        self,
        turns: Turns,
        inputs: Inputs,
        management: str,
        replica: str,
        now: Callable[[], int],
        sighted: Callable[[Batch], str] = lambda _: "",
        *,
        reads: bool = True,
    ) -> None:
        """`sighted` begins the trace of a batch. A replica that `reads` no cluster leaves what the last reader said."""
        self._sighted, self._reads = sighted, reads
        self.findings: tuple[Finding, ...] = ()
        self._turns, self._inputs = turns, inputs
        self._management, self._replica, self._now = management, replica, now
        self._view: dict[ObjectKey, Stored] = {}
        self._listed = False
        self._unlisted: frozenset[str] = frozenset()  # of these the listing said nothing
        self._since = 0
        self._taken = asyncio.Event()
        self._doubted = False  # taken, and not listed since

    @property
    def writes(self) -> bool:
        return SERVER in self._turns.fences

    async def run(self, cluster: Cluster) -> None:
        # the source is asynchronous to the end: closing it ends the watch itself
        async with aclosing(cluster.watch()) as batches:  # type: ignore[type-var]  # every watch is a generator
            async for batch in batches:
                self.take(batch)
                self.findings = batch.findings
                del batch  # the first one names everything, and the next may take days to come

    def take(self, batch: Batch) -> None:
        seen: set[ObjectKey] = set()
        # a listing that is told for another reason than our question may be of old objects
        written = self.writes and self._listed and not (batch.listed and self._doubted)
        traceparent = self._sighted(batch) if written else ""
        for key, body in batch.changes:
            if not _is_input(key.type):
                continue
            seen.add(key)
            if body is None:
                self._view.pop(key, None)
                stored = None
            else:
                stored = self._view[key] = self._shared(key, body)
            if written:
                self._write(key, stored, batch.seen_unix_nanos, traceparent)
        if batch.listed:
            self._listed, self._unlisted = True, batch.unlisted
            if self.writes and not self._doubted:
                self.write_all()  # when each of them was changed nobody knows

    def _shared(self, key: ObjectKey, body: bytes) -> Stored:
        digest, known = content_hash(body), self._inputs.get(key)
        return known if known is not None and known.hash == digest else Stored(digest, body)

    def taken(self) -> None:
        """The source is ours from now on. Its former owner may have written what our watch, which perhaps stands still,
        has not brought yet: nothing is compared with what we had read before.
        """
        if not self._reads:
            return
        self._doubted = self._listed and bool(self._stored_keys())
        if self._doubted:
            self.announce()
            self._taken.set()
        else:  # nobody has written anything
            self.write_all()

    async def compare(self, cluster: Cluster) -> Never:
        """Whenever the source was taken, by a listing that began after that."""
        while True:
            await self._taken.wait()
            self._taken.clear()
            while self._doubted:
                unread = await cluster.relist()
                known, unlisted = await _known(cluster)
                if self._taken.is_set():
                    break
                self._adopt(known, unlisted, unread)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_AGAIN if unread else 0):
                        await self._taken.wait()

    def _adopt(self, known: Mapping[ObjectKey, bytes], unlisted: frozenset[str], unread: frozenset[str]) -> None:
        """Of what is `unread` nothing is concluded, until it can be read."""
        for key in [k for k in self._view if k not in known and not _among(k.type, unread)]:
            del self._view[key]
        self._view.update((k, self._shared(k, body)) for k, body in known.items() if not _among(k.type, unread))
        self._unlisted, self._doubted = unlisted, bool(unread)
        if self._doubted and self.writes:
            self._make_equal(unread)
        elif self.writes:
            self.write_all()

    def write_all(self) -> None:
        """Make the inputs equal to the view, after a listing."""
        if not self._reads:
            return
        self.announce()
        if not self._listed or self._doubted:
            return
        self._make_equal()
        self._turns.completed(SERVER)

    def _make_equal(self, unread: frozenset[str] = frozenset()) -> None:
        for key in self._stored_keys():
            if key not in self._view and not _among(key.type, unread):
                self._turns.change(key, None)
        for key, stored in self._view.items():
            if not _among(key.type, unread):
                self._write(key, stored)

    def _write(self, key: ObjectKey, stored: Stored | None, seen_unix_nanos: int = 0, traceparent: str = "") -> None:
        if stored is not None:
            stored = adopt(self._inputs.get(key), stored)
        self._turns.change(key, stored, seen_unix_nanos, traceparent)

    def _stored_keys(self) -> list[ObjectKey]:
        management = self._management
        return [
            key
            for type_ in self._inputs.types(management)
            if type_ != SESSION and type_ not in self._unlisted
            for name in self._inputs.of(management, type_)
            if source_of(key := ObjectKey(type_, management, *name), management) == SERVER
        ]

    def announce(self) -> None:
        """The record of the source `server`: who reads the management cluster, and whether a listing has ended."""
        self._since = self._since or self._now()
        record = SessionRecord(
            phase=Phase.WARM if self._listed else Phase.SYNCING,
            complete=self._listed,
            replica=self._replica,
            epoch=self._turns.epoch,
            since=self._since,
        )
        self._turns.change(record_key(SERVER, self._management), encode(record))

    @property
    def view(self) -> Mapping[ObjectKey, Stored]:
        return self._view


async def _known(cluster: Cluster) -> tuple[dict[ObjectKey, bytes], frozenset[str]]:
    """What a new watch begins with, which is all; and the types of which that says nothing."""
    known: dict[ObjectKey, bytes] = {}
    async with aclosing(cluster.watch()) as batches:  # type: ignore[type-var]  # every watch is a generator
        async for batch in batches:
            for key, body in batch.changes:
                if body is not None and _is_input(key.type):
                    known[key] = body
                else:
                    known.pop(key, None)
            if batch.listed:
                return known, batch.unlisted
    raise RuntimeError("a watch of the management cluster ended")


def _is_input(type_: str) -> bool:
    return type_ not in REFUSED and read_by_server(type_)


def _among(type_: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(type_, pattern) for pattern in patterns)
