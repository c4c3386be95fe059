"""The server's own reading of the management cluster (design D8).

One replica writes it, the others watch and stand by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing

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
        traceparent = self._sighted(batch) if self.writes and self._listed else ""
        for key, body in batch.changes:
            if key.type in REFUSED or not read_by_server(key.type):
                continue
            seen.add(key)
            if body is None:
                self._view.pop(key, None)
                stored = None
            else:
                stored = self._view[key] = self._shared(key, body)
            if self.writes and self._listed:
                self._write(key, stored, batch.seen_unix_nanos, traceparent)
        if batch.listed:
            self._listed, self._unlisted = True, batch.unlisted
            if self.writes:
                self.write_all()  # when each of them was changed nobody knows

    def _shared(self, key: ObjectKey, body: bytes) -> Stored:
        digest, known = content_hash(body), self._inputs.get(key)
        return known if known is not None and known.hash == digest else Stored(digest, body)

    def write_all(self) -> None:
        """Make the inputs equal to the view: after a listing, and after taking the source over."""
        if not self._reads:
            return
        self.announce()
        if not self._listed:
            return
        for key in self._stored_keys():
            if key not in self._view:
                self._turns.change(key, None)
        for key, stored in self._view.items():
            self._write(key, stored)
        self._turns.completed(SERVER)

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
