"""Redis is back, or forgot, or its stream was trimmed: compare by hashes and make both sides equal (relay.md §6.3).

What this replica owns is written back whole. What nobody owns is put back where Redis has nothing. What another
replica owns is never deleted here before that replica has said that it has written everything. Absence is not deletion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fingerpost.objects import ObjectKey
from mgmt.ingest.exchange import Store, exchange
from mgmt.ingest.inputs import Inputs
from mgmt.ingest.kinds import record_key, source_of
from mgmt.ingest.pending import Pending, chunks
from mgmt.ingest.states import Phase, decode, record_of
from mgmt.store.values import SERVER, SHARED, Entry, Fence, Group, Source, Stored, Write


class Outcome(NamedTuple):
    """The result of a comparison.

    `fences`: without those whose source another replica has claimed since. `adopted`: what memory has to take over.
    `doubtful`: what only this replica remembers of a source that another one owns.
    `incomplete`: sources of ours that are still listing; compare again when they are done.
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
        self.adopt: list[ObjectKey] = []
        self.drop: list[ObjectKey] = []
        self.incomplete: set[Source] = set()

    def groups(self, fences: Mapping[Source, Fence], unsaved: Pending) -> Iterator[Group]:
        for source in sorted(_purges(fences, unsaved)):
            yield Group(source, fences[SERVER], purge=True)
        for source, writes in self.back.items():
            yield from chunks(Group(source, fences[source], tuple(writes)))
        if shared := unsaved.writes.get(SHARED):
            yield from chunks(Group(SHARED, None, tuple(Write(*w) for w in shared.items())))
        for source, writes in self.restore.items():
            yield from chunks(Group(source, None, tuple(writes), restore=True))


async def run(
    store: Store,
    inputs: Inputs,
    held: Mapping[Source, Fence],
    unsaved: Pending,
    seq: int,
    epoch: str,
    management: str,
    ttl: float,
) -> Outcome:
    """Raises StoreError when Redis goes away again; it may then be run again from the start."""
    attached = await store.attach(seq)
    fences: dict[Source, Fence] = {}
    for source, fence in held.items():
        claimed = await (store.lease(SERVER, ttl) if source == SERVER else store.reclaim(fence))
        if claimed is not None:
            fences[source] = claimed
    there = await store.hashes()
    plan = _compare(inputs, there, fences, unsaved, management, intact=attached.epoch == epoch)
    written = await exchange(store, plan.groups(fences, unsaved), attached.seq)
    outrun = written.refused & fences.keys()  # claimed by another replica just now
    refused = {source: [w.key for w in plan.restore.get(source, ())] for source in written.refused - outrun}
    records = await store.fetch([record_key(source, management) for source in refused])
    doubtful: dict[Source, frozenset[ObjectKey]] = {}
    for source, keys in refused.items():
        record = decode(records.get(record_key(source, management)))
        if record is not None and record.epoch == attached.epoch:
            plan.adopt += keys
        elif keys:
            doubtful[source] = frozenset(keys)
    adopted: dict[ObjectKey, Stored | None] = dict.fromkeys(plan.drop)
    adopted.update(await store.fetch(plan.adopt))
    for source in outrun:
        del fences[source]
        adopted.update(await differences(store, inputs, source, management))
    # what was written to our own sources meanwhile came before our claim, so the comparison has seen it
    missed = tuple(e for e in written.missed if source_of(e.key, management) not in fences)
    return Outcome(written.seq, attached.epoch, fences, missed, adopted, doubtful, frozenset(plan.incomplete))


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
    unsaved: Pending,
    management: str,
    *,
    intact: bool,
) -> _Plan:
    plan, purges = _Plan(), _purges(fences, unsaved)
    for key, stored in inputs.items():
        source, other = source_of(key, management), there.pop(key, None)
        if other == stored.hash or (unsaved.holds(source, key) and source == SHARED):
            continue
        if source in fences:
            plan.back.setdefault(source, []).append(Write(key, stored))
        elif other is not None:
            plan.adopt.append(key)
        elif intact:
            plan.drop.append(key)
        else:
            plan.restore.setdefault(source, []).append(Write(key, stored))
    for key in there:
        source = source_of(key, management)
        if source in purges or (unsaved.holds(source, key) and source == SHARED):
            continue
        if source not in fences:
            plan.adopt.append(key)
        elif _complete(inputs, source, management):
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
