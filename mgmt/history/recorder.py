"""Records a snapshot for every turn in which users' objects changed: by groups, behind the turns, one writer at a time.

It compares levels rather than trusting edges: when it begins, and whenever Redis does not hold what it expects, all
inputs are compared with what was recorded last, so nothing is ever missing from the history for long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Never, Protocol

import msgspec
import structlog

from fingerpost.objects import ObjectKey
from mgmt.pins.rollback import RECORDED, Order
from mgmt.store.errors import StoreError
from mgmt.store.history import Change, HistoryStore, Limits
from mgmt.store.values import Stored
from mgmt.translate.scopes import GatewayKey

log = structlog.get_logger()
_GATHER = 0.2  # seconds; what comes meanwhile goes with it
_AGAIN = 2.0  # seconds after which a Redis that was away is asked again
_MOST_WAITING = 5000  # turns; beyond it they become one snapshot
_NAMED = 20  # gateways


class HistorySettings(msgspec.Struct, frozen=True):
    """How long and how much is kept: whichever of the three comes first."""

    keep: float = 7 * 86400.0  # seconds
    snapshots: int = 10_000
    bytes: int = 64 << 20


class Inputs(Protocol):
    """`mgmt.ingest.inputs.Inputs`, as far as it is read here."""

    def get(self, key: ObjectKey) -> Stored | None: ...

    def items(self) -> Iterable[tuple[ObjectKey, Stored]]: ...


class Ingest(Protocol):
    """`leads`: whether this replica writes."""

    @property
    def inputs(self) -> Inputs: ...

    @property
    def seq(self) -> int: ...

    @property
    def leads(self) -> bool: ...


class _Turn(msgspec.Struct):
    seq: int
    at: int  # Unix nanoseconds
    changes: dict[ObjectKey, Stored | None]
    unknown: frozenset[str]  # clusters
    gateways: tuple[GatewayKey, ...]


class Recorder:
    """`listed`: the clusters that have told everything at least once."""

    def __init__(self, store: HistoryStore, ingest: Ingest, settings: HistorySettings, now: Callable[[], int]) -> None:
        self.trouble = ""
        self.listed: frozenset[str] = frozenset()
        self._store, self._ingest, self._settings, self._now = store, ingest, settings, now
        self._waiting: deque[_Turn] = deque()
        self._orders: deque[Order] = deque()
        self._heads: dict[ObjectKey, bytes] | None = None  # None: to be asked for, and compared with everything
        self._epoch = b""
        self._known: frozenset[str] | set[str] = (
            frozenset()
        )  # clusters of whose objects it is known whether they are new
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()

    # ---------------------------------------------------------------- what comes in

    def note(self, seq: int, changed: Iterable[ObjectKey], gateways: Callable[[], Iterable[GatewayKey]]) -> None:
        """A turn was published. Costs a look at each changed key."""
        known, self._known = (
            self._known,
            self._known | self.listed,
        )  # in the turn that ends a listing the last of it came
        mine = [key for key in changed if key.type in RECORDED]
        if not mine:
            return
        changes = {key: self._ingest.inputs.get(key) for key in mine}
        unknown = frozenset({key.cluster for key in mine} - known)
        self._waiting.append(_Turn(seq, self._now(), changes, unknown, tuple(gateways())))
        if len(self._waiting) > _MOST_WAITING:
            self._forget()
        self._wake.set()

    def order(self, order: Order) -> None:
        """A rollback was begun or ended here."""
        self._orders.append(order)
        self._wake.set()

    def _forget(self) -> None:
        self._heads = None
        self._waiting.clear()

    # ---------------------------------------------------------------- what goes out

    async def run(self) -> Never:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(_GATHER)
            try:
                await self.flush()
            except StoreError as e:
                if self.trouble != str(e):
                    log.warning("history.snapshot.unwritten", reason=str(e))
                self.trouble = str(e)
                self._wake.set()
                await asyncio.sleep(_AGAIN)

    async def flush(self) -> None:
        """Returns when every turn so far is recorded, on the replica that writes. Raises StoreError."""
        async with self._lock:
            while self._orders:
                order = self._orders[0]
                await self._store.order(order.at // 1_000_000, msgspec.to_builtins(order), self._oldest(order.at))
                self._orders.popleft()
            if not self._ingest.leads:
                self._forget()
                return
            if self._heads is not None and self._waiting and await self._store.epoch() != self._epoch:
                self._forget()  # Redis has lost its memory, and the history with it
            if self._heads is None:
                await self._compare()
            while self._waiting:
                turn = self._waiting[0]
                if not await self._record(turn):
                    self._forget()
                    await self._compare()
                elif self._waiting and self._waiting[0] is turn:
                    self._waiting.popleft()
            self.trouble = ""

    async def _compare(self) -> None:
        """What differs from what was recorded last, whoever has missed it, becomes one snapshot."""
        while True:
            self._epoch = await self._store.epoch()
            heads = await self._store.heads()
            self._heads = heads
            self._waiting.clear()  # it is in the inputs
            recorded = {key.cluster for key in heads}
            now = {key: stored for key, stored in self._ingest.inputs.items() if key.type in RECORDED}
            changes: dict[ObjectKey, Stored | None] = {k: s for k, s in now.items() if heads.get(k) != s.hash}
            changes |= dict.fromkeys(heads.keys() - now.keys())
            unknown = frozenset({key.cluster for key in changes} - recorded)
            found = _Turn(self._ingest.seq, self._now(), changes, unknown, ())
            self._known = recorded | self.listed
            if not changes or await self._record(found):
                return

    async def _record(self, turn: _Turn) -> bool:
        """False when somebody else has recorded since."""
        heads = self._heads
        if heads is None:
            return False
        changes = list(_changes(turn, heads))
        if not changes:
            return True
        limits = Limits(self._oldest(turn.at), *self._most())
        told = _told(turn, changes)
        number = await self._store.record(self._epoch, turn.seq, turn.at // 1_000_000, told, changes, limits)
        if not number:
            return False
        for change in changes:
            if change.after is None:
                heads.pop(change.key, None)
            else:
                heads[change.key] = change.after.hash
        return True

    def _oldest(self, now: int) -> int:
        return (now - int(self._settings.keep * 1e9)) // 1_000_000

    def _most(self) -> tuple[int, int]:
        return self._settings.snapshots, self._settings.bytes


def _changes(turn: _Turn, heads: dict[ObjectKey, bytes]) -> Iterator[Change]:
    for key, after in sorted(turn.changes.items(), key=lambda item: item[0]):
        before = heads.get(key)
        if before != (after.hash if after else None):
            yield Change(key, before, after, unknown=before is None and key.cluster in turn.unknown)


def _told(turn: _Turn, changes: Sequence[Change]) -> dict[str, Any]:
    return {
        "at": turn.at,
        "changes": [[*change.key, action(change)] for change in changes],
        "gateways": ["/".join(gateway) for gateway in turn.gateways[:_NAMED]],
        "gatewaysCount": len(turn.gateways),
    }


def action(change: Change) -> str:
    if change.unknown:
        return "found"
    if change.before is None:
        return "added"
    return "changed" if change.after is not None else "removed"
