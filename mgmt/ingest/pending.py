"""What has come in since the last turn, newest per key. Memory is bounded by the state, not by the rate of change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from fingerpost.objects import ObjectKey
from mgmt.ingest.values import InputChange
from mgmt.store.values import SERVER, Fence, Group, Source, Stored, Write

WRITES_A_CALL = 1000  # a Lua call blocks Redis; this many objects take it a few milliseconds


class Pending:
    """`changes` go to the translator, `writes` and `purges` to Redis, `callbacks` back to those who brought them."""

    __slots__ = ("callbacks", "changes", "origins", "purges", "writes")

    def __init__(self) -> None:
        self.changes: dict[ObjectKey, InputChange] = {}
        self.writes: dict[Source, dict[ObjectKey, Stored | None]] = {}
        self.origins: dict[ObjectKey, str] = {}  # of writes, where it is known
        self.purges: set[Source] = set()
        self.callbacks: list[tuple[Source, Callable[[int], None]]] = []

    @property
    def unwritten(self) -> bool:
        return bool(self.writes or self.purges)

    def write(self, source: Source, key: ObjectKey, stored: Stored | None, origin: str = "") -> None:
        self.writes.setdefault(source, {})[key] = stored
        if origin:
            self.origins[key] = origin

    def purge(self, source: Source) -> None:
        self.forget(source)
        self.purges.add(source)

    def forget(self, source: Source) -> None:
        """Neither written nor answered any more: somebody else owns the source now, or nobody may."""
        self.writes.pop(source, None)
        self.callbacks = [(owner, callback) for owner, callback in self.callbacks if owner != source]

    def holds(self, source: Source, key: ObjectKey) -> bool:
        return key in self.writes.get(source, ())

    def follow(self, later: Pending) -> None:
        """`later` happened after this; its changes are not taken over, they have been translated."""
        for source in later.purges:
            self.purge(source)
        for source, writes in later.writes.items():
            self.writes.setdefault(source, {}).update(writes)
        self.callbacks += later.callbacks

    def unfenced(self, fenced: Collection[Source], shared: Source) -> frozenset[Source]:
        """Sources that lost their fence before their writes left."""
        return frozenset(s for s in self.writes if s != shared and s not in fenced)

    def groups(self, fences: Mapping[Source, Fence], unfenced: Source) -> Iterator[Group]:
        """Purges first. Writes of a source without a fence are left out: they are not ours to write."""
        for source in sorted(self.purges):
            if SERVER in fences:  # whose holder says that a cluster is registered no longer
                yield Group(source, fences[SERVER], purge=True)
        for source, writes in self.writes.items():
            if source == unfenced or source in fences:
                written = tuple(Write(key, stored, self.origins.get(key, "")) for key, stored in writes.items())
                yield from chunks(Group(source, fences.get(source), written))


def chunks(group: Group) -> Iterator[Group]:
    for i in range(0, len(group.writes), WRITES_A_CALL):
        yield group._replace(writes=group.writes[i : i + WRITES_A_CALL])
