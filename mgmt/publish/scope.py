"""What the relay reads: one live view per scope. Like gateways share the resources and the log entries, not the log.

The view implements `mgmt.relay.ports.ScopeView`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from fingerpost.relay.digest import SetDigest, resource_key
from fingerpost.relay.pieces import PieceList
from mgmt.relay.ports import Changed, LogEntry
from mgmt.translate.scopes import ResourceKey

LOG = 64


class ResourceSet:
    """The resources of one class of like gateways, and their digest."""

    def __init__(self) -> None:
        self.resources: dict[ResourceKey, PieceList] = {}
        self.digest = SetDigest()

    def change(self, changes: Mapping[ResourceKey, PieceList | None]) -> tuple[Changed, ...]:
        """Returns what really changed, each with its former digest."""
        out = []
        for key, new in changes.items():
            old = self.resources.get(key)
            if new == old:
                continue
            name = resource_key(*key)
            if old is not None:
                self.digest.discard(name, old.digest)
            if new is None:
                del self.resources[key]
            else:
                self.resources[key] = new
                self.digest.add(name, new.digest)
            out.append(Changed(*key, old.digest if old else b""))
        return tuple(out)

    def named(self) -> frozenset[str]:
        """The contributions of all pieces. It walks them all, so it is only for rare occasions."""
        found = {p.contribution for pieces in self.resources.values() for p in pieces}
        return frozenset(found - {""})

    def difference(self, other: ResourceSet) -> tuple[Changed, ...]:
        """What changes for a gateway that moves from this set to `other`."""
        out = [Changed(*k, v.digest) for k, v in self.resources.items() if other.resources.get(k) != v]
        out += [Changed(*k, b"") for k in other.resources if k not in self.resources]
        return tuple(out)


class Scope:
    """One gateway (or the cluster itself, named "")."""

    def __init__(self, resource_set: ResourceSet) -> None:
        self._set = resource_set
        self.version = 0
        self.keep: Mapping[str, str] = {}
        self.confirmed = False
        self.gone = False
        self._log: deque[LogEntry] = deque(maxlen=LOG)

    @property
    def resources(self) -> Mapping[ResourceKey, PieceList]:
        return self._set.resources

    @property
    def digest(self) -> SetDigest:
        return self._set.digest

    @property
    def log(self) -> Sequence[LogEntry]:
        return self._log

    def append(self, entry: LogEntry) -> None:
        self._log.append(entry)
        self.version = entry.version

    def note(
        self, version: int, changed: Iterable[Changed], base: bytes, seen_unix_nanos: int, traceparent: str = ""
    ) -> None:
        """A publication of this scope alone."""
        after = self.digest.total
        self.append(LogEntry(version, self.version, base, after, tuple(changed), seen_unix_nanos, traceparent))

    def republish(self, version: int) -> None:
        """The resources are the same; `keep` or `confirmed` changed, or agents hold a higher version."""
        self.note(version, (), self.digest.total, 0)

    def move(self, resource_set: ResourceSet, version: int, seen_unix_nanos: int, traceparent: str = "") -> None:
        former, self._set = self._set, resource_set
        self.note(version, former.difference(resource_set), former.digest.total, seen_unix_nanos, traceparent)
