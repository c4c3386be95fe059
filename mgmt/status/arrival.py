"""How far an object's change has come, in the status of the object itself (design D9): `status.arrival`. Of objects in
workload clusters their agents are told, which write it.

Off the hot path: it looks now and then at the objects whose last change is not known to be everywhere, for a few
milliseconds at a time. A change that arrives soon costs one write; one that does not, a few more, ever more seldom.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Never

from fingerpost.objects import ObjectKey
from mgmt.publish.arrival import Arrivals, ArrivalView, GatewayState
from mgmt.translate.scopes import GatewayKey
from mgmt.translate.status import Status

_PAUSE, _CEILING = 0.3, 10.0  # seconds between two looks
_SLICE = 0.02  # seconds of looking at a time
_PARTLY, _PARTLY_CEILING = 5.0, 60.0  # seconds after which it is said that something has not arrived
_SHOWN = 5  # gateways that are named
_LONGEST = 500
Arrival = Mapping[str, Any]
UNKNOWN: Arrival = MappingProxyType({})  # whether something is told already


def arrival_of(view: ArrivalView, generation: int) -> dict[str, Any]:
    """`generation` is the one that has arrived at `gateways` ("14/15"); those without it say why."""
    found: dict[str, Any] = {"generation": generation, "gateways": f"{view.arrived}/{view.total}"}
    if view.missing:
        found["missing"] = [{"gateway": m.gateway, "reason": m.reason[:_LONGEST]} for m in view.missing[:_SHOWN]]
    return found


def _key_of(name: str) -> GatewayKey:
    cluster, _, scope = name.partition("/")
    return cluster, scope


class _Object:
    """One whose arrival is told. `due`: when it is next said what has not arrived; 0: nothing is awaited."""

    __slots__ = ("arrival", "due", "patience", "status")

    def __init__(self, status: Status, arrival: Arrival | None) -> None:
        self.status, self.arrival = status, arrival
        self.patience, self.due = _PARTLY, 0.0


class ArrivalStatuses:
    """`write(key, status, arrival)` is told both or, when the object is gone, None; `read(key)` gives the arrival that
    is told already. `look()` answers for one moment how far an object is. A gateway is `untold` when its agent is
    connected to a replica that has not spoken of it yet. `states()`: what is known of all gateways.
    """

    def __init__(
        self,
        kinds: Collection[str],
        arrivals: Arrivals,
        write: Callable[[ObjectKey, Status | None, Arrival | None], None],
        read: Callable[[ObjectKey], Arrival | None],
        look: Callable[[], Callable[[ObjectKey], ArrivalView]],
        untold: Callable[[GatewayKey], bool],
        states: Callable[[], Mapping[GatewayKey, GatewayState]],
    ) -> None:
        self._kinds, self._arrivals = kinds, arrivals
        self._write, self._read, self._look = write, read, look
        self._untold, self._states = untold, states
        self._objects: dict[ObjectKey, _Object] = {}
        self._pending: dict[ObjectKey, None] = {}
        self._exceptions: dict[GatewayKey, frozenset[str]] = {}
        self._wake = asyncio.Event()

    def put(self, key: ObjectKey, status: Status | None) -> None:
        if status is None:
            self._objects.pop(key, None)
            self._pending.pop(key, None)
            self._write(key, None, None)
        elif key.type not in self._kinds:
            self._write(key, status, UNKNOWN)
        else:
            known = self._objects.get(key)
            there = known.arrival if known else self._read(key)
            self._objects[key] = _Object(status, there)
            self._put(key)
            self._await((key,))

    def _put(self, key: ObjectKey) -> None:
        found = self._objects[key]
        self._write(key, found.status, found.arrival)

    def _await(self, keys: Iterable[ObjectKey]) -> None:
        now = asyncio.get_running_loop().time()
        for key in keys:
            if key in self._objects:
                found = self._objects[key]
                found.patience, found.due = _PARTLY, now + _PARTLY
                self._pending[key] = None
        if self._pending:
            self._wake.set()

    async def run(self) -> Never:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="mgmt.arrival.listen")
            tasks.create_task(self._follow(), name="mgmt.arrival.follow")
        raise RuntimeError("the arrival of changes is told no longer")

    async def _listen(self) -> Never:
        changed, heard = self._arrivals.changed, 0
        while True:
            await changed.wait(heard)
            heard = changed.rings
            self._compare()
            if self._pending:
                self._wake.set()
            await asyncio.sleep(_PAUSE)

    def _compare(self) -> None:
        """What had arrived may not be there any more: a gateway is new, or says no."""
        now = {g: frozenset(e.contribution for e in s.exceptions) for g, s in self._states().items()}
        before, self._exceptions = self._exceptions, now
        if now.keys() != before.keys():
            self._await(list(self._objects))
        else:
            differing = {c for gateway in now for c in now[gateway] ^ before[gateway]}
            self._await(key for c in differing if (key := ObjectKey.of_contribution(c)) is not None)

    async def _follow(self) -> Never:
        pause = _PAUSE
        while True:
            if not self._pending:
                await self._wake.wait()
            if self._wake.is_set():
                self._wake.clear()
                pause = _PAUSE
            try:
                async with asyncio.timeout(pause):
                    await asyncio.sleep(_PAUSE)
                    await self._wake.wait()
            except TimeoutError:
                pause = min(pause * 2, _CEILING)
            await self._look_at_all()

    async def _look_at_all(self) -> None:
        rest = list(self._pending)
        while rest:
            began, look = time.perf_counter(), self._look()
            while rest and time.perf_counter() - began < _SLICE:
                if (key := rest.pop()) in self._pending:
                    self._look_at(key, look(key))
            await asyncio.sleep(_SLICE)

    def _look_at(self, key: ObjectKey, view: ArrivalView) -> None:
        found, now = self._objects[key], asyncio.get_running_loop().time()
        if any(self._untold(_key_of(missing.gateway)) for missing in view.missing):
            return
        if view.complete:
            del self._pending[key]
        elif now < found.due:
            return
        else:
            found.patience = min(found.patience * 2, _PARTLY_CEILING)
            found.due = now + found.patience
        arrival = arrival_of(view, found.status.observed_generation) if view.total else None
        if arrival != found.arrival:
            found.arrival = arrival
            self._put(key)
