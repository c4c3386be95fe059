"""The way of one turn's changes through this replica: moments, and the gateways that were told of it. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fingerpost.objects import ObjectKey
from mgmt.ingest.kinds import PIN, SESSION
from mgmt.ingest.values import InputChange
from mgmt.pins.rollback import Rollback
from mgmt.translate.scopes import GatewayKey

_BOOKKEEPING = frozenset({SESSION, PIN})


class Came(NamedTuple):
    """One change as it came in. `seen` is by the clock of the cluster's agent, `received` by this server's; both are
    Unix nanoseconds, 0 where nobody knows.
    """

    key: ObjectKey
    seen: int
    received: int
    traceparent: str
    elsewhere: bool  # another replica took it in


class Translated(NamedTuple):
    came: tuple[Came, ...]
    began: int
    ended: int
    steps: int
    released: tuple[Rollback, ...] = ()  # rollbacks that ended with this turn: what they held back goes out


def came(changes: Iterable[InputChange]) -> tuple[Came, ...]:
    """Without what was there when this process began, and without what is no object of anybody's."""
    return tuple(
        Came(c.key, c.seen_unix_nanos, c.received_unix_nanos, c.traceparent, c.elsewhere)
        for c in changes
        if c.received_unix_nanos and c.key.type not in _BOOKKEEPING
    )


class Passage:
    """`gateways`: those that were told something new, and when all their proxies had it (0: not yet)."""

    __slots__ = (
        "began",
        "came",
        "gateways",
        "parents",
        "published",
        "released",
        "seq",
        "stored",
        "traceparent",
        "translated",
        "weight",
    )

    def __init__(self, work: Translated, seq: int, stored: int) -> None:
        self.came, self.began, self.translated, self.released = work.came, work.began, work.ended, work.released
        self.seq, self.stored, self.published = seq, stored, 0
        self.gateways: dict[GatewayKey, int] = {}
        self.weight = 0
        self.traceparent = ""  # under which agents go on
        self.parents: tuple[str, ...] = ()  # the span of each trace that this turn has taken up

    @property
    def seen(self) -> int:
        """The earliest; 0 when nobody knows."""
        return min((c.seen for c in self.came if c.seen), default=0)

    def of(self, key: ObjectKey) -> Came:
        """The last one of this object; it is there."""
        return next(c for c in reversed(self.came) if c.key == key)

    def arrived(self, gateways: Iterable[GatewayKey]) -> bool:
        """Whether all of these that were told have it."""
        return all(self.gateways.get(gateway, -1) for gateway in gateways)
