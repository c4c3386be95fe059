"""Keyed collections that hand on deltas, and the context through which a step reads them.

Every read is recorded: of one key, of one bucket of an index, or of everything. A later change of just that marks the
reader dirty.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from mgmt.translate.engine.steps import Step

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
I = TypeVar("I", bound=Hashable)  # noqa: E741  (the letter is the concept: an index key)

Reader = tuple["Step[Any, Any, Any, Any]", Hashable]


class _Readers:
    """Who has read a thing: reader -> nothing, so that forgetting one is constant time."""

    __slots__ = ("_by",)

    def __init__(self) -> None:
        self._by: dict[Hashable, dict[Reader, None]] = {}

    def add(self, what: Hashable, reader: Reader) -> None:
        self._by.setdefault(what, {})[reader] = None

    def forget(self, what: Hashable, reader: Reader) -> None:
        readers = self._by.get(what)
        if readers is not None:
            readers.pop(reader, None)
            if not readers:
                del self._by[what]

    def dirty(self, what: Hashable) -> None:
        for step, key in self._by.get(what, ()):
            step.dirty[key] = None


class Index(Generic[K, V, I]):
    """Buckets of a collection's items by a derived key. An item may be in several buckets."""

    __slots__ = ("_keys", "buckets", "readers")

    def __init__(self, keys: Callable[[K, V], Iterable[I]]) -> None:
        self._keys = keys
        self.buckets: dict[I, dict[K, V]] = {}
        self.readers = _Readers()

    def change(self, key: K, old: V | None, new: V | None) -> None:
        before = set(self._keys(key, old)) if old is not None else set()
        after = set(self._keys(key, new)) if new is not None else set()
        for bucket in before - after:
            members = self.buckets[bucket]
            del members[key]
            if not members:
                del self.buckets[bucket]
        if new is not None:
            for bucket in after:
                self.buckets.setdefault(bucket, {})[key] = new
        for bucket in before | after:
            self.readers.dirty(bucket)


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
        self._seen[id(readers), what] = (readers, what)

    def get(self, collection: Collection[K, V], key: K) -> V | None:
        self._record(collection.readers, key)
        return collection.items.get(key)

    def by(self, index: Index[K, V, I], bucket: I) -> Mapping[K, V]:
        """The items of one bucket, in no particular order: sort what you emit."""
        self._record(index.readers, bucket)
        return index.buckets.get(bucket, {})

    def all(self, collection: Collection[K, V]) -> Mapping[K, V]:
        """Everything; for small collections only, since any change re-runs the reader."""
        self._record(collection.everything, None)
        return collection.items

    def commit(self, former: Iterable[tuple[_Readers, Hashable]]) -> tuple[tuple[_Readers, Hashable], ...]:
        """Register these reads and forget the former run's others."""
        if self._reader is None:
            raise TypeError("an untracked context is never committed")
        for readers, what in former:
            if (id(readers), what) not in self._seen:
                readers.forget(what, self._reader)
        for readers, what in self._seen.values():
            readers.add(what, self._reader)
        return tuple(self._seen.values())
