"""Redis is back, or forgot, or its stream was trimmed: compare by hashes and make both sides equal (relay.md §6.3).

What this replica owns is written back whole. What nobody owns is put back where Redis has nothing. What another
replica owns is never deleted here before that replica has said that it has written everything. Absence is not deletion.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from fingerpost.objects import ObjectKey
from mgmt.ingest.exchange import Store, exchange
from mgmt.ingest.inputs import Inputs
from mgmt.ingest.kinds import SESSION, record_key, source_of
from mgmt.ingest.pending import Pending, chunks
from mgmt.ingest.states import Phase, decode, record_of
from mgmt.store.values import SERVER, SHARED, Entry, Fence, Group, Source, Stored, Write, agent_source


class Before(NamedTuple):
    """`stored`: the highest seq that Redis had as far as this replica knows, `seq`: what it has reached without it."""

    stored: int
    seq: int
    epoch: str


class Outcome(NamedTuple):
    """The result of a comparison.

    `fences`: without those whose source another replica has claimed since. `adopted`: what memory has to take over.
    `doubtful`: what only this replica remembers of a source that another one owns.
    `incomplete`: sources of ours that are still listing; compare again when they are done, or leave.
    """

    seq: int
    epoch: str
    fences: Mapping[Source, Fence]
    missed: tuple[Entry, ...]
    adopted: Mapping[ObjectKey, Stored | None]
    doubtful: Mapping[Source, frozenset[ObjectKey]]
    incomplete: frozenset[Source]


class _Plan:
    """The outcome of the comparison, before anything is written."""

    def __init__(self) -> None:
        self.back: dict[Source, list[Write]] = {}
        self.restore: dict[Source, list[Write]] = {}
        self.outdo: dict[Source, list[Write]] = {}
        self.adopt: list[ObjectKey] = []
        self.incomplete: set[Source] = set()

    def groups(self, fences: Mapping[Source, Fence], unsaved: Pending) -> Iterator[Group]:
        """The records come last: who begins to read in the middle of it must not take a part for all of a cluster."""
        for source in sorted(_purges(fences, unsaved)):
            yield Group(source, fences[SERVER], purge=True)
        if shared := unsaved.writes.get(SHARED):
            yield from chunks(Group(SHARED, None, tuple(Write(*w) for w in shared.items())))
        for records in (False, True):
            for source, writes in self.back.items():
                yield from chunks(Group(source, fences[source], _of(writes, records)))
            for source, writes in self.restore.items():
                yield from chunks(Group(source, None, _of(writes, records), restore=True))
            for source, writes in self.outdo.items():
                yield from chunks(Group(source, None, _of(writes, records), restore=True, outdo=True))


def _of(writes: list[Write], records: bool) -> tuple[Write, ...]:
    return tuple(write for write in writes if (write.key.type == SESSION) is records)


async def run(
    store: Store,
    inputs: Inputs,
    held: Mapping[Source, Fence],
    unlisted: Collection[Source],
    unsaved: Pending,
    before: Before,
    management: str,
    ttl: float,
) -> Outcome:
    """Raises StoreError when Redis goes away again; it may then be run again from the start.

    `unlisted`: sources of which this replica has heard no complete listing yet, whatever their last owner has said.
    """
    attached = await store.attach(before.stored)
    if attached.seq < before.seq:
        await store.raise_seq(before.seq)
    fences: dict[Source, Fence] = {}
    for source, fence in held.items():
        claimed = await (store.lease(SERVER, ttl) if source == SERVER else store.reclaim(fence))
        if claimed is not None:
            fences[source] = claimed
    there = await store.hashes()
    intact = attached.epoch == before.epoch
    order = {} if intact else await _order(store, inputs, fences, management)
    plan = _compare(inputs, there, fences, unlisted, unsaved, order, management, intact=intact)
    written = await exchange(store, plan.groups(fences, unsaved), attached.seq)
    outrun = written.refused & fences.keys()  # claimed by another replica just now
    adopted: dict[ObjectKey, Stored | None] = {}
    remembered = {source: [w.key for w in plan.restore.get(source, ())] for source in written.refused - outrun}
    for source in outrun:
        del fences[source]
        different = await differences(store, inputs, source, management)
        adopted.update((key, found) for key, found in different.items() if found is not None)
        remembered[source] = [key for key, found in different.items() if found is None]
    for source in written.refused & plan.outdo.keys():
        plan.adopt += [w.key for w in plan.outdo[source]]
    records = await store.fetch([record_key(source, management) for source in remembered])
    doubtful: dict[Source, frozenset[ObjectKey]] = {}
    for source, keys in remembered.items():
        record = decode(records.get(record_key(source, management)))
        if record is not None and record.epoch == attached.epoch:
            plan.adopt += keys
        elif keys:
            doubtful[source] = frozenset(keys)
    adopted.update(await store.fetch(plan.adopt))
    # what was written to our own sources meanwhile came before our claim, so the comparison has seen it
    missed = tuple(e for e in written.missed if source_of(e.key, management) not in fences)
    return Outcome(written.seq, attached.epoch, fences, missed, adopted, doubtful, frozenset(plan.incomplete))


async def _order(store: Store, inputs: Inputs, fences: Mapping[Source, Fence], management: str) -> Mapping[Source, int]:
    """For sources of agents that nobody feeds: above 0 where this replica remembers a later state than who has filled
    Redis again, below 0 an earlier one.
    """
    sources = {agent_source(cluster) for cluster in inputs.clusters_of(SESSION)} - fences.keys()
    keys = {record_key(source, management): source for source in sources}
    there = await store.fetch(keys)
    return {
        source: mine.since - other.since
        for key, source in keys.items()
        if (mine := record_of(inputs, key)) and (other := decode(there[key]))
    }


async def differences(store: Store, inputs: Inputs, source: Source, management: str) -> dict[ObjectKey, Stored | None]:
    """What Redis holds of one source where memory is different: for a source that another replica has taken over."""
    cluster = record_key(source, management).cluster
    there = {k: h for k, h in (await store.hashes(cluster)).items() if source_of(k, management) == source}
    mine = {k: s.hash for k, s in inputs.items_of(cluster) if source_of(k, management) == source}
    changed = [key for key, digest in there.items() if mine.get(key) != digest]
    return {**dict.fromkeys(mine.keys() - there.keys()), **await store.fetch(changed)}


def _compare(
    inputs: Inputs,
    there: dict[ObjectKey, bytes],
    fences: Mapping[Source, Fence],
    unlisted: Collection[Source],
    unsaved: Pending,
    order: Mapping[Source, int],
    management: str,
    *,
    intact: bool,
) -> _Plan:
    plan, purges = _Plan(), _purges(fences, unsaved)
    for key, stored in inputs.items():
        source, other = source_of(key, management), there.pop(key, None)
        if other == stored.hash or (unsaved.holds(source, key) and source == SHARED):
            continue
        if source in fences and source in unlisted and intact and not unsaved.holds(source, key):
            plan.incomplete.add(source)  # ours is what we remember of its last owner's, which may have told more since
        elif source in fences:
            plan.back.setdefault(source, []).append(Write(key, stored))
        elif order.get(source, 0) > 0:
            plan.outdo.setdefault(source, []).append(Write(key, stored))
        elif other is not None or intact or order.get(source, 0) < 0:
            plan.adopt.append(key)
        else:
            plan.restore.setdefault(source, []).append(Write(key, stored))
    for key in there:
        source = source_of(key, management)
        if source in purges or (unsaved.holds(source, key) and source == SHARED):
            continue
        if order.get(source, 0) > 0:
            plan.outdo.setdefault(source, []).append(Write(key, None))
        elif source not in fences:
            plan.adopt.append(key)
        elif unsaved.holds(source, key) or (source not in unlisted and _complete(inputs, source, management)):
            plan.back.setdefault(source, []).append(Write(key, None))
        else:
            plan.incomplete.add(source)
    return plan


def _purges(fences: Mapping[Source, Fence], unsaved: Pending) -> set[Source]:
    """Sources of clusters that are registered no longer: only who reads the management cluster can tell."""
    return unsaved.purges - set(fences) if SERVER in fences else set()


def _complete(inputs: Inputs, source: Source, management: str) -> bool:
    """Only a source that has listed everything may say that something is gone."""
    record = record_of(inputs, record_key(source, management))
    return record is not None and record.phase == Phase.WARM


def confirmed(inputs: Inputs, source: Source, management: str, epoch: str) -> bool:
    record = record_of(inputs, record_key(source, management))
    return record is not None and record.epoch == epoch
