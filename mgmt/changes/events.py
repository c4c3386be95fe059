"""What happened of late besides changes: a ring of events, each told once, newest last. It is lost with the process."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from mgmt.bell import Bell

_KEPT = 2000


class Kind(enum.StrEnum):
    CONNECTED = "Connected"
    DISCONNECTED = "Disconnected"
    REFUSED = "Refused"  # somebody who asked to be let in
    HELD = "Held"
    RELEASED = "Released"
    REJECTED = "Rejected"
    ACCEPTED = "Accepted"  # what had been rejected
    ROTATED = "Rotated"
    LEADING = "Leading"
    FOLLOWING = "Following"
    ROLLED_BACK = "RolledBack"
    ROLLBACK_RELEASED = "RollbackReleased"
    STORE_LOST = "StoreLost"
    STORE_BACK = "StoreBack"


class Event(NamedTuple):
    """`at` in Unix nanoseconds, growing from event to event, so that it names one. `cluster` "": of the server."""

    at: int
    kind: Kind
    cluster: str
    about: str  # a gateway, an object, a certificate; "" for the cluster itself
    message: str


class Events:
    """`add` may be called anywhere on the event loop; it returns at once."""

    def __init__(self, now: Callable[[], int], kept: int = _KEPT) -> None:
        self._now = now
        self._ring: deque[Event] = deque(maxlen=kept)
        self._last = 0
        self.changed = Bell()

    def add(self, kind: Kind, cluster: str = "", about: str = "", message: str = "") -> None:
        self._last = max(self._last + 1, self._now())
        self._ring.append(Event(self._last, kind, cluster, about, message))
        self.changed.ring()

    def since(self, after: int = 0, cluster: str = "") -> list[Event]:
        """Newer than `after`; of one cluster without those of the server itself."""
        return [e for e in self._ring if e.at > after and cluster in ("", e.cluster)]
