"""The turn loop: one translation, one write and one publication at a time (design D3, D4).

While a turn is in flight, what arrives is collected; when idle, a change starts a turn at once. With Redis away the
turns go on from memory, and what could not be written waits for `Recovery`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import structlog

from fingerpost.objects import ObjectKey
from mgmt.ingest import recovery
from mgmt.ingest.ahead import Ahead
from mgmt.ingest.exchange import Store, exchange
from mgmt.ingest.inputs import Inputs
from mgmt.ingest.kinds import source_of
from mgmt.ingest.pending import Pending
from mgmt.ingest.values import Hooks, InputChange, Pipeline, origin_of, with_origin
from mgmt.relay.ports import Metrics
from mgmt.store.errors import StoreError
from mgmt.store.values import FREE, SHARED, UNCLAIMED, Entry, Fence, Source, Stored, WriteResult, free

log = structlog.get_logger()


class Turns:
    """Owner of the inputs in memory, of `seq` and of the fences. Everything else asks it."""

    def __init__(
        self,
        store: Store,
        inputs: Inputs,
        pipeline: Pipeline,
        hooks: Hooks,
        management: str,
        lease: float,
        metrics: Metrics,
    ) -> None:
        self.seq = 0
        self.stored = 0  # the highest seq that Redis is known to have had
        self._epochs = [""]  # of Redis, the present one last
        self.synced = False
        self.lost = asyncio.Event()  # set while Redis is away
        self.trouble = ""  # why it is
        self.fences: dict[Source, Fence] = {}
        self.ahead = Ahead()
        # Once a turn: what has come in up to now is in it; and all of that is published.
        self.began: Callable[[], None] = lambda: None
        self.ended: Callable[[], None] = lambda: None
        self._store, self._inputs, self._pipeline, self._hooks = store, inputs, pipeline, hooks
        self._management, self._lease, self._metrics = management, lease, metrics
        self._pending = Pending()
        self._unsaved = Pending()
        self._taken: dict[ObjectKey, InputChange] = {}  # from Redis, not yet translated
        self._incomplete: set[Source] = set()
        self._unlisted: set[Source] = set()  # claimed, and not listed since
        self._left: set[Source] = set()
        self._claimed_at: dict[Source, int] = {}  # `stored`, as it was then
        self._owed: list[tuple[Source, Callable[[int], None]]] = []
        self._doubtful: dict[Source, frozenset[ObjectKey]] = {}
        self._jobs: list[tuple[Callable[[], Awaitable[None]], asyncio.Future[None]]] = []
        self._wake, self._look = asyncio.Event(), False
        self._published = -1
        self._stored_at = 0

    @property
    def epoch(self) -> str:
        return self._epochs[-1]

    @property
    def queues(self) -> dict[str, int]:
        """What waits for the next turn, and what waits for Redis."""
        unsaved = sum(len(writes) for writes in self._unsaved.writes.values())
        return {"changes": len(self._pending.changes), "jobs": len(self._jobs), "unsaved": unsaved, "seq": self.seq}

    # ------------------------------------------------------------ what comes in

    def change(self, key: ObjectKey, stored: Stored | None, seen_unix_nanos: int = 0, traceparent: str = "") -> None:
        """In memory at once; translated and stored in the next turn. No change, no work."""
        if self._inputs.put(key, stored):
            body = stored.body if stored is not None else None
            change = InputChange(key, body, seen_unix_nanos, traceparent, time.time_ns())
            former = self._pending.changes.get(key)
            if former is not None and former.seen_unix_nanos:  # edits that are joined count from the first
                change = former._replace(body=body)
            self._pending.changes[key] = change
            self._pending.write(source_of(key, self._management), key, stored, origin_of(change))
            self._wake.set()

    def when_stored(self, source: Source, callback: Callable[[int], None]) -> None:
        """Called with the seq once everything `source` has brought so far is in Redis."""
        self._pending.callbacks.append((source, callback))
        self._wake.set()

    def purge(self, source: Source, keys: Iterable[ObjectKey], *, in_redis: bool) -> None:
        """Forget the source; only one replica needs to do so in Redis."""
        for key in keys:
            self._inputs.put(key, None)
            self._pending.changes[key] = InputChange(key, None)
        self.forget(source)
        if in_redis:
            self._pending.purge(source)
        self.fences.pop(source, None)
        self._wake.set()

    def forget(self, source: Source) -> None:
        self._pending.forget(source)
        self._unsaved.forget(source)

    def look(self) -> None:
        """Somebody else has written, or something has to be looked at again."""
        self._look = True
        self._wake.set()

    def saw(self, version: int) -> None:
        """An agent holds this config_version; ours must become higher if Redis does not know it."""
        if self.ahead.saw(version, self.seq):
            self.look()

    async def exclusive(self, job: Callable[[], Awaitable[None]]) -> None:
        """Run `job` at the start of a turn that then also catches up with Redis. Returns when that turn is over."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._jobs.append((job, done))
        self.look()
        await done

    async def claim(self, source: Source) -> None:
        """Used inside `exclusive`, whose turn then catches up. With Redis away the claim follows when it is back."""
        self._left.discard(source)
        self._claimed_at[source] = self.stored
        self._own(Fence(source, UNCLAIMED))
        if self.synced:
            self.fences[source] = await self._store.claim(source)
            # or an agent that brings an equal object would be told that it is there already
            await self._settle(source)

    async def hold(self, fence: Fence) -> None:
        """As `claim`, with a fence that was got elsewhere (a lease)."""
        self._own(fence)

    def seize(self, source: Source) -> None:
        """As `hold`, with Redis away: nobody can be asked who has the source."""
        self._own(Fence(source, FREE))

    def _own(self, fence: Fence) -> None:
        """What its last owner has said of its listing is not ours."""
        self._unlisted.add(fence.source)
        self.fences[fence.source] = fence

    def completed(self, source: Source) -> None:
        """The source has listed everything: what Redis holds beyond that can be told from what is yet to come."""
        self._unlisted.discard(source)
        self._wake.set()
        if source in self._incomplete:
            self._incomplete.discard(source)
            self._jobs.append((self._again, asyncio.get_running_loop().create_future()))
            self.look()

    def listed(self, source: Source) -> bool:
        return source in self.fences and source not in self._unlisted

    def leave(self, source: Source) -> None:
        """Nothing more comes from the source; its fence is given back once what it brought is written."""
        self._left.add(source)
        if (fence := self.fences.get(source)) is not None and fence.token == UNCLAIMED:
            # the agent may have gone to another replica meanwhile
            self.fences[source] = Fence(source, free(self._claimed_at[source], self._epochs))

    def begin(self, loaded: Iterable[tuple[ObjectKey, Stored]], seq: int, epoch: str) -> None:
        """What Redis held at the start; the first turn translates it and catches up."""
        for key, stored in loaded:
            if self._inputs.put(key, stored):
                self._pending.changes[key] = InputChange(key, stored.body)
        self.seq, self.stored, self.synced = max(seq, self.seq), seq, True
        self._epochs.append(epoch)
        self.look()

    # ------------------------------------------------------------ the loop

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._turn()

    async def _turn(self) -> None:
        jobs, self._jobs = self._jobs, []
        for job, done in jobs:
            if not done.cancelled():  # nobody waits for it any more: a claim would take from who has the source now
                try:
                    await job()
                except StoreError as e:
                    self.lose(e)
        work, self._pending = self._pending, Pending()
        self.began()
        work.changes = {**self._drain_taken(), **work.changes}
        look, self._look = self._look, False
        ahead = self.ahead.version
        anew = self._hooks.turn_begins(work.changes)
        results: list[object] = []
        self._stored_at = 0
        saved: list[tuple[Source, Callable[[int], None]]] = []
        if self.synced and (look or work.unwritten):
            saved = await self._written(work, results, anew=anew)
        else:
            self._translate(list(work.changes.values()), results, anew=anew)
            if self.synced:
                saved = work.callbacks
            else:
                self._count(work)
        await self._rise(ahead)
        if results or self.seq != self._published:
            self._published = self.seq
            self._pipeline.publish(results, self.seq, self._stored_at)
        self.ended()
        owed, self._owed = self._owed, []
        for _, callback in (*owed, *saved):
            callback(self.seq)
        self._give_back()
        for _, done in jobs:
            if not done.done():
                done.set_result(None)

    def _count(self, work: Pending) -> None:
        """Redis is away: the turn waits for it, and has a number of our own."""
        self._unsaved.follow(work)
        if work.changes:
            self.seq = self.ahead.counted(self.seq + 1)

    def _drain_taken(self) -> dict[ObjectKey, InputChange]:
        taken, self._taken = self._taken, {}
        return taken

    def _give_back(self) -> None:
        for source in [s for s in self._left if s not in self._pending.writes and s not in self._unsaved.writes]:
            self._left.discard(source)
            self.fences.pop(source, None)
            self.completed(source)  # as far as it will ever be: what Redis holds of it counts

    def _translate(self, changes: list[InputChange], results: list[object], *, anew: bool = False) -> None:
        if changes or anew:
            results.append(self._pipeline.translate(changes))

    async def _written(
        self, work: Pending, results: list[object], *, anew: bool
    ) -> list[tuple[Source, Callable[[int], None]]]:
        """The request to Redis leaves first, then the CPU translates while Redis works."""
        fenced = frozenset(self.fences)
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write(work), name="ingest.store.write")
            await asyncio.sleep(0)
            self._translate(list(work.changes.values()), results, anew=anew)
        outcome = writing.result()
        if outcome is None:
            self._count(work)
            return []
        self.seq = self.stored = outcome.seq
        lost = outcome.refused | work.unfenced(fenced, SHARED)
        for source in lost:
            work.forget(source)
        # what this turn has written came after what it had missed
        self._absorb(e for e in outcome.missed if not work.holds(source_of(e.key, self._management), e.key))
        try:
            await self._settle_doubts()
            await self._fenced_out(lost)
            if outcome.gap and self.synced:
                await self._recover()
        except StoreError as e:
            self.lose(e)
        if taken := self._drain_taken():
            self._hooks.turn_begins(taken)
            self._translate(list(taken.values()), results)
        return work.callbacks

    async def _write(self, work: Pending) -> WriteResult | None:
        try:
            outcome = await exchange(self._store, work.groups(self.fences, SHARED), self.seq)
            self._stored_at = time.time_ns() if work.unwritten else 0
            return outcome
        except StoreError as e:
            self.lose(e)
            return None

    def lose(self, cause: StoreError) -> None:
        """From now on everything happens in memory, until `regain`."""
        for name in ("gloo_mesh_redis_sync_err_total", "gloo_mesh_redis_sync_err"):
            self._metrics.add(name)
        self.trouble = str(cause)
        if self.synced or not self.lost.is_set():
            log.warning("store.link.lost", reason=str(cause))
        was, self.synced = self.synced, False
        if was or not self.lost.is_set():
            self._hooks.lost()
        self._metrics.set("fingerpost_store_unsynced", 1)
        self.lost.set()

    # ------------------------------------------------------------ what others did

    def _absorb(self, entries: Iterable[Entry]) -> None:
        for key, stored, origin in entries:
            if not key.name:
                for namespace, name in list(self._inputs.of(key.cluster, key.type)):
                    self._take(key._replace(namespace=namespace, name=name), None)
            elif key.type and not self._pending.holds(source_of(key, self._management), key):
                self._take(key, stored, origin)

    def _take(self, key: ObjectKey, stored: Stored | None, origin: str = "") -> None:
        """What Redis holds replaces what memory held, also where that waited to be translated."""
        if self._inputs.put(key, stored):
            self._pending.changes.pop(key, None)
            body = stored.body if stored is not None else None
            came = InputChange(key, body, received_unix_nanos=time.time_ns(), elsewhere=True)
            self._taken[key] = with_origin(came, origin)

    async def _fenced_out(self, refused: Iterable[Source]) -> None:
        """What such a source had brought here is taken back: Redis knows better."""
        for source in refused:
            self.fences.pop(source, None)
            self.forget(source)
            self._hooks.fenced(source)
            different = await recovery.differences(self._store, self._inputs, source, self._management)
            for key, stored in different.items():
                self._take(key, stored)

    async def _settle_doubts(self) -> None:
        """Inputs that only this replica remembers are gone once their owner has said that it has written everything."""
        for source in [s for s in self._doubtful if recovery.confirmed(self._inputs, s, self._management, self.epoch)]:
            await self._settle(source)

    async def _settle(self, source: Source) -> None:
        for key, stored in (await self._store.fetch(self._doubtful.get(source, ()))).items():
            self._take(key, stored)
        self._doubtful.pop(source, None)

    # ------------------------------------------------------------ Redis is back

    async def regain(self) -> None:
        """Make Redis and memory equal again; raises StoreError when it goes away meanwhile. Used inside `exclusive`."""
        await self._read()
        await self._store.beat(self._lease)  # who reads the records that are written now must not take us for dead
        await self._recover()
        self.synced, self.ahead.counts, self.trouble = True, False, ""
        self.lost.clear()
        self._metrics.set("fingerpost_store_unsynced", 0)
        self._hooks.closing_records(self.epoch)
        self._owed, self._unsaved = self._unsaved.callbacks, Pending()
        self._wake.set()
        log.info("store.link.regained", seq=self.seq)

    async def _read(self) -> None:
        """What others have written, before anything is written: a Redis that is full takes no writes, but answers."""
        if (await self._store.attach(self.stored)).epoch != self.epoch:
            return  # it has forgotten: what others have put back may be older than what is here
        outcome = await exchange(self._store, (), self.stored)
        if not outcome.gap:
            self.seq, self.stored = max(self.seq, outcome.seq), outcome.seq
            self._absorb(e for e in outcome.missed if self._is_news(source_of(e.key, self._management), e.key))

    def _is_news(self, source: Source, key: ObjectKey) -> bool:
        return source not in self.fences and not self._unsaved.holds(source, key)

    async def _again(self) -> None:
        if self.synced:
            await self._recover()

    async def _recover(self) -> None:
        held = dict(self.fences)  # the beat may change them meanwhile
        # what was told under a number of our own is not what comes of this
        before = recovery.Before(self.stored, self.seq + self.ahead.counts, self.epoch)
        outcome = await recovery.run(
            self._store, self._inputs, held, self._unlisted, self._unsaved, before, self._management, self._lease
        )
        self.seq = self.stored = outcome.seq
        self._epochs = [*(e for e in self._epochs[-8:] if e != outcome.epoch), outcome.epoch]
        for source in self.fences.keys() - outcome.fences.keys():
            self.forget(source)
            self._hooks.fenced(source)
        self.fences = dict(outcome.fences)
        self._doubtful = dict(outcome.doubtful)
        self._incomplete = set(outcome.incomplete)
        self._absorb(outcome.missed)
        self._absorb(Entry(key, stored) for key, stored in outcome.adopted.items())

    async def _rise(self, ahead: int) -> None:
        wanted = self.ahead.wanted(self.seq, ahead, synced=self.synced)
        if not wanted or (self.synced and not self._hooks.outdated()):
            return
        if not self.synced:
            self.seq = self.ahead.counted(wanted)
            return
        try:
            await self._store.raise_seq(wanted)
        except StoreError as e:
            self.lose(e)
        else:
            self.look()  # others may have written since we looked: `seq` rises with the next look, which brings that
