"""Keyed collections that hand on deltas, and the context through which a step reads them.

Every read is recorded: of one key, of one bucket of an index, or of everything. A later change of just that marks the
reader dirty.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from mgmt.translate.engine.steps import Step

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
I = TypeVar("I", bound=Hashable)  # noqa: E741  (the letter is the concept: an index key)

Reader = tuple["Step[Any, Any, Any, Any]", Hashable]
Reads = tuple[Any, ...]  # readers, what, readers, what …: one tuple, since there is one for each run of each step


class _Readers:
    """Who has read a thing: one reader as it is, since most things have one, several as the keys of each step.

    A step that once read what has the key it ran for, does so for most of its keys: it alone is remembered, not the
    reads, and is told of every such key. What it does not run for, or read no more, costs it a look.
    """

    __slots__ = ("_by", "_namesakes")

    def __init__(self) -> None:
        self._by: dict[Hashable, Reader | dict[Step[Any, Any, Any, Any], dict[Hashable, None]]] = {}
        self._namesakes: tuple[Step[Any, Any, Any, Any], ...] = ()

    def follow(self, step: Step[Any, Any, Any, Any]) -> None:
        if step not in self._namesakes:
            self._namesakes = (*self._namesakes, step)

    def add(self, what: Hashable, reader: Reader) -> None:
        readers = self._by.setdefault(what, reader)
        if isinstance(readers, tuple):
            if readers == reader:
                return
            readers = self._by[what] = {readers[0]: {readers[1]: None}}
        readers.setdefault(reader[0], {})[reader[1]] = None

    def forget(self, what: Hashable, reader: Reader) -> None:
        readers = self._by.get(what)
        if isinstance(readers, dict):
            keys = readers.get(reader[0], {})
            keys.pop(reader[1], None)
            if not keys:
                readers.pop(reader[0], None)
            if not readers:
                del self._by[what]
        elif readers == reader:
            del self._by[what]

    def dirty(self, what: Hashable) -> None:
        for step in self._namesakes:
            step.dirty[what] = None
        readers = self._by.get(what)
        if isinstance(readers, tuple):
            readers[0].dirty[readers[1]] = None
        elif readers is not None:
            for step, keys in readers.items():
                step.dirty.update(keys)


class _Item(Generic[K, V]):
    """What a bucket holds that holds nothing else."""

    __slots__ = ("key", "value")

    def __init__(self, key: K, value: V) -> None:
        self.key, self.value = key, value


class Index(Generic[K, V, I]):
    """Buckets of a collection's items by a derived key. An item may be in several buckets. Most buckets hold one item,
    and that as it is.
    """

    __slots__ = ("_buckets", "_keys", "readers")

    def __init__(self, keys: Callable[[K, V], Iterable[I]]) -> None:
        self._keys = keys
        self._buckets: dict[I, _Item[K, V] | dict[K, V]] = {}
        self.readers = _Readers()

    def __contains__(self, bucket: I) -> bool:
        return bucket in self._buckets

    def __iter__(self) -> Iterator[I]:
        return iter(self._buckets)

    def of(self, bucket: I) -> Mapping[K, V]:
        """The items of one bucket; not to be kept."""
        found = self._buckets.get(bucket)
        if found is None:
            return {}
        return {found.key: found.value} if isinstance(found, _Item) else found

    def change(self, key: K, old: V | None, new: V | None) -> None:
        before = set(self._keys(key, old)) if old is not None else set()
        after = set(self._keys(key, new)) if new is not None else set()
        for bucket in before - after:
            members = self._buckets[bucket]
            if isinstance(members, dict):
                del members[key]
            if not members or isinstance(members, _Item):
                del self._buckets[bucket]
        if new is not None:
            for bucket in after:
                self._put(bucket, key, new)
        for bucket in before | after:
            self.readers.dirty(bucket)

    def _put(self, bucket: I, key: K, value: V) -> None:
        members = self._buckets.get(bucket)
        if isinstance(members, dict):
            members[key] = value
        elif members is None or members.key == key:
            self._buckets[bucket] = _Item(key, value)
        else:
            self._buckets[bucket] = {members.key: members.value, key: value}


class Collection(Generic[K, V]):
    """Items by key. `delta` holds what changed in the running wave: key -> (old, new)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.items: dict[K, V] = {}
        self.delta: dict[K, tuple[V | None, V | None]] = {}
        self.readers = _Readers()
        self.everything = _Readers()
        self._indexes: list[Index[K, V, Any]] = []

    def index(self, keys: Callable[[K, V], Iterable[I]]) -> Index[K, V, I]:
        """Declare indexes before the first item."""
        made: Index[K, V, I] = Index(keys)
        self._indexes.append(made)
        return made

    def put(self, key: K, new: V | None) -> None:
        """Set or remove (None) one item; equal values change nothing and stop the wave here."""
        old = self.items.get(key)
        if new == old:
            return
        if new is None:
            del self.items[key]
        else:
            self.items[key] = new
        first = self.delta.get(key)
        self.delta[key] = (first[0] if first else old, new)
        for index in self._indexes:
            index.change(key, old, new)
        self.readers.dirty(key)
        self.everything.dirty(None)

    def settle(self) -> None:
        """The wave is over."""
        self.delta.clear()


class Input(Collection[K, V]):
    """Filled from outside between waves."""


class Context:
    """What a step may read with. One per run of one step for one key."""

    __slots__ = ("_reader", "_seen")

    def __init__(self, reader: Reader | None) -> None:
        self._reader = reader
        self._seen: dict[tuple[int, Hashable], tuple[_Readers, Hashable]] = {}

    @classmethod
    def untracked(cls) -> Context:
        """For questions from outside the graph: nothing is remembered."""
        return cls(None)

    def _record(self, readers: _Readers, what: Hashable) -> None:
        if self._reader is not None and what == self._reader[1]:
            readers.follow(self._reader[0])
        else:
            self._seen[id(readers), what] = (readers, what)

    def get(self, collection: Collection[K, V], key: K) -> V | None:
        self._record(collection.readers, key)
        return collection.items.get(key)

    def by(self, index: Index[K, V, I], bucket: I) -> Mapping[K, V]:
        """The items of one bucket, in no particular order: sort what you emit."""
        self._record(index.readers, bucket)
        return index.of(bucket)

    def all(self, collection: Collection[K, V]) -> Mapping[K, V]:
        """Everything; for small collections only, since any change re-runs the reader."""
        self._record(collection.everything, None)
        return collection.items

    def commit(self, former: Reads) -> Reads:
        """Register these reads and forget the former run's others."""
        if self._reader is None:
            raise TypeError("an untracked context is never committed")
        for readers, what in zip(former[::2], former[1::2], strict=True):
            if (id(readers), what) not in self._seen:
                readers.forget(what, self._reader)
        for readers, what in self._seen.values():
            readers.add(what, self._reader)
        return tuple(chain.from_iterable(self._seen.values()))
