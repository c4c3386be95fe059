"""Which file holds which object, and whose version is in force. Pure bookkeeping: no files are touched here.

The first file seen with an object stays in force. A file that is gone from the disk but not yet let go still speaks
for its
objects, after every file that is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fingerpost.cluster.directory.manifest import NAMESPACE_TYPE, ManifestObject, declared_by_use
from fingerpost.objects import ObjectKey

_BY_USE = ""  # the source of namespaces that nobody declares


class InForce(NamedTuple):
    source: str
    object: ManifestObject


class Holdings:
    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._files: dict[str, ManifestObject | dict[ObjectKey, ManifestObject]] = {}  # most hold one
        self._by_use: dict[ObjectKey, ManifestObject] = {}
        self._claims: dict[ObjectKey, tuple[str, ...]] = {}  # sources, the first seen first
        self._touched: set[ObjectKey] = set()
        self._used: Counter[str] = Counter()
        self.missing: set[str] = set()
        self.in_force: dict[ObjectKey, InForce] = {}
        self.duplicates: dict[ObjectKey, tuple[str, ...]] = {}

    @property
    def sources(self) -> frozenset[str]:
        return frozenset(self._files)

    def __contains__(self, source: str) -> bool:
        return source in self._files

    def objects(self, source: str) -> tuple[ManifestObject, ...]:
        return tuple(self._of(source).values())

    def _of(self, source: str) -> Mapping[ObjectKey, ManifestObject]:
        """Not to be kept."""
        found = self._by_use if source == _BY_USE else self._files.get(source, {})
        return {found.key: found} if isinstance(found, ManifestObject) else found

    def put(self, source: str, objects: Iterable[ManifestObject]) -> None:
        old, new = self._of(source), {o.key: o for o in objects}
        for key in old.keys() - new.keys():
            self._unclaim(key, source)
        for key in new:
            if key not in old:
                self._claims[key] = (*self._claims.get(key, ()), source)
        self._touched |= {key for key, one in new.items() if old.get(key) != one}
        self._files[source] = next(iter(new.values())) if len(new) == 1 else new
        self._present(source, True)

    def drop(self, source: str) -> None:
        for key in self._of(source):
            self._unclaim(key, source)
        self._files.pop(source, None)
        self.missing.discard(source)

    def miss(self, source: str) -> None:
        """The file is not on the disk; it is not let go yet."""
        if source in self._files:
            self._present(source, False)

    def rename(self, old: str, new: str) -> None:
        """A moved file keeps its place in the queue."""
        if old not in self._files or new in self._files:
            return
        self._files[new] = self._files.pop(old)
        for key in self._of(new):
            self._claims[key] = tuple(new if source == old else source for source in self._claims[key])
            self._touched.add(key)
        if old in self.missing:
            self.missing.remove(old)
            self.missing.add(new)

    def prefer(self, key: ObjectKey, source: str) -> None:
        """`source` was in force before a restart."""
        claims = self._claims.get(key, ())
        if source in claims and claims[0] != source:
            self._claims[key] = (source, *(other for other in claims if other != source))
            self._touched.add(key)

    def settle(self) -> list[ObjectKey]:
        """The keys whose object in force is another one than before (or none), in a stable order."""
        changed: list[ObjectKey] = []
        touched, self._touched = self._touched, set()
        for key in sorted(touched):
            self._settle(key, changed)
        # namespaces by use follow from the above, and nothing follows from them
        touched, self._touched = self._touched, set()
        for key in sorted(touched):
            self._settle(key, changed)
        return list(dict.fromkeys(changed))

    def _settle(self, key: ObjectKey, changed: list[ObjectKey]) -> None:
        claims = self._claims.get(key, ())
        present = [source for source in claims if source and source not in self.missing]
        if len(present) > 1:
            self.duplicates[key] = tuple(present)
        else:
            self.duplicates.pop(key, None)
        before = self.in_force.get(key)
        if not claims:
            if before is not None:
                del self.in_force[key]
                self._count(key, -1)
                changed.append(key)
            return
        source = present[0] if present else min(claims, key=lambda s: s == _BY_USE)
        now = InForce(source, self._of(source)[key])
        self.in_force[key] = now
        if before is None:
            self._count(key, 1)
        if before != now:
            changed.append(key)

    def _count(self, key: ObjectKey, step: int) -> None:
        namespace = key.namespace
        if not namespace:
            return
        self._used[namespace] += step
        used = self._used[namespace]
        if used == 0:
            del self._used[namespace]
        own = ObjectKey(NAMESPACE_TYPE, self._cluster, "", namespace)
        if used and own not in self._by_use:
            self._by_use[own] = declared_by_use(namespace, self._cluster)
            self._claims[own] = (*self._claims.get(own, ()), _BY_USE)
            self._touched.add(own)
        elif not used and own in self._by_use:
            del self._by_use[own]
            self._unclaim(own, _BY_USE)

    def _present(self, source: str, there: bool) -> None:
        if there == (source not in self.missing):
            return
        if there:
            self.missing.discard(source)
        else:
            self.missing.add(source)
        self._touched |= self._of(source).keys()

    def _unclaim(self, key: ObjectKey, source: str) -> None:
        left = tuple(other for other in self._claims[key] if other != source)
        if left:
            self._claims[key] = left
        else:
            del self._claims[key]
        self._touched.add(key)
