"""Begins and ends rollbacks, and answers what the history knows. Asks Redis; never on the way of a change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from fingerpost.objects import ObjectKey
from fingerpost.relay.objects import CLUSTER_SCOPE
from mgmt.history.preview import GatewayChange, Served, preview
from mgmt.history.recorder import Recorder
from mgmt.pins.outputs import Outputs
from mgmt.pins.rollback import RECORDED, Order, Overlay, Reach, Rollback, Scope, encode, pin_name
from mgmt.publish.publisher import Publisher
from mgmt.store.history import HistoryStore, Range, State
from mgmt.translate.scopes import GatewayKey
from mgmt.translate.translator import Translator


class NotPossible(Exception):
    """What was asked for cannot be done. `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ObjectChange(msgspec.Struct, frozen=True, kw_only=True):
    """One object at two times. `before` or `after` None: it was not there."""

    key: ObjectKey
    before: bytes | None
    after: bytes | None

    @property
    def action(self) -> str:
        if self.before is None:
            return "added"
        return "changed" if self.after is not None else "removed"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollback does, or would do: `objects` go from their version of now to that of the snapshot."""

    rollback: Rollback
    objects: Sequence[ObjectChange]
    gateways: Sequence[GatewayChange]
    superseded: Sequence[str]


class Ingest(Protocol):
    @property
    def seq(self) -> int: ...

    @property
    def leads(self) -> bool: ...

    def pin(self, pins: Mapping[str, bytes | None]) -> None: ...

    def settled(self) -> Awaitable[None]: ...


class Rollbacks:
    def __init__(
        self,
        store: HistoryStore,
        recorder: Recorder,
        outputs: Outputs,
        publisher: Publisher,
        ingest: Ingest,
        now: Callable[[], int],
    ) -> None:
        self.ordered: Callable[[Order], None] = lambda _: None  # called when a rollback was begun or ended here
        self._store, self._recorder, self._outputs = store, recorder, outputs
        self._translator, self._publisher, self._ingest, self._now = outputs.now, publisher, ingest, now

    # ---------------------------------------------------------------- questions

    @property
    def active(self) -> list[Rollback]:
        """Newest first."""
        return sorted(self._outputs.rollbacks.values(), key=lambda one: int(one.id), reverse=True)

    @property
    def trouble(self) -> str:
        """Why nothing can be recorded just now; "" when all is well."""
        return self._recorder.trouble

    async def range(self) -> Range:
        await self._recorder.flush()
        return await self._store.range()

    async def orders(self) -> list[Order]:
        """What was begun and ended, newest first."""
        return [msgspec.convert(told, Order) for told in await self._store.orders()]

    async def logs(self, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        return await self._store.logs(numbers)

    async def at(self, number: int) -> State:
        """Raises NotPossible for what is too old, or was never recorded."""
        await self.check(number)
        return await self._store.at(number)

    async def check(self, number: int) -> None:
        known = await self.range()
        if not known.numbers:
            raise NotPossible("NoHistory", "no snapshot has been recorded yet")
        oldest = known.floor or known.numbers[0]
        if not oldest <= number <= max(self._ingest.seq, known.numbers[-1]):
            newest = known.numbers[-1]
            message = f"snapshot {number} is not kept: the oldest is {oldest}, the newest {newest}"
            raise NotPossible("UnknownSnapshot", f"{message}; fingerpost history lists them")

    async def changes(self, number: int, to: int | None) -> list[ObjectChange]:
        """What differs between two snapshots, or (None) between one and now."""
        then = await self.at(number)
        later = await self.at(to) if to is not None else State(self._current(), frozenset())
        unknown = then.unknown | later.unknown
        keys = sorted({*then.objects, *later.objects} - unknown)
        pairs = ((key, then.objects.get(key), later.objects.get(key)) for key in keys)
        return [ObjectChange(key=key, before=b, after=a) for key, b, a in pairs if b != a]

    def _current(self) -> dict[ObjectKey, bytes]:
        return {key: body for key, body in self._translator.inputs.items() if key.type in RECORDED}

    # ---------------------------------------------------------------- orders

    async def begin(self, number: int, scope: Scope, by: str, *, dry: bool) -> Begun:
        """With `dry` nothing is changed. Returns when the rollback is published."""
        if not self._ingest.leads:
            raise NotPossible("NotLeading", "another replica writes the management cluster; it does what is asked")
        rollback = await self._made(number, scope, by)
        superseded = [one for one in self.active if scope.reach is Reach.ALL or one.scope == scope]
        rest = [one for one in self.active if one not in superseded]
        stack = [one for one in (rollback, *rest)]
        now = dict(self._translator.inputs.items())
        before, after = Overlay(self.active), Overlay(stack)
        keys = sorted(
            key for key in {*now, *(k for one in (*stack, *superseded) for k in one.objects)} if rollback.covers(key)
        )
        pairs = ((key, before.body(key, now.get(key)), after.body(key, now.get(key))) for key in keys)
        objects = [ObjectChange(key=key, before=b, after=a) for key, b, a in pairs if b != a]
        gateways = await self._preview(rollback, rest, now)
        if not dry:
            pins: dict[str, bytes | None] = {pin_name(one.id): None for one in superseded}
            self._ingest.pin(pins | {pin_name(rollback.id): encode(rollback)})
            await self._ingest.settled()
            self._note(self._released(superseded, by, rollback.name))
            self._note([_order(rollback, self._now(), by=by, gateways=len(gateways))])
        return Begun(rollback=rollback, objects=objects, gateways=gateways, superseded=[one.name for one in superseded])

    async def release(self, id_: str, by: str) -> list[Rollback]:
        """Of one (`r72`), or ("") of all. Returns when what was held back is published."""
        if not self._ingest.leads:
            raise NotPossible("NotLeading", "another replica writes the management cluster; it does what is asked")
        ended = [one for one in self.active if id_ in ("", one.name, one.id)]
        if not ended:
            known = ", ".join(f"{one.name} to snapshot {one.snapshot}" for one in self.active) or "there is none"
            raise NotPossible("NoRollback", f"no rollback {id_} is active: {known}" if id_ else "no rollback is active")
        others = [one for one in self.active if id_ == str(one.snapshot) and one not in ended]
        if others:  # the plain number of the one is the snapshot of the other
            meant = ", or ".join(f"{one.name} (to snapshot {one.snapshot})" for one in (*ended, *others))
            raise NotPossible("AmbiguousRollback", f"{id_} can be {meant}; give the name with its r")
        self._ingest.pin({pin_name(one.id): None for one in ended})
        await self._ingest.settled()
        self._note(self._released(ended, by))
        return ended

    def _released(self, ended: Iterable[Rollback], by: str, successor: str = "") -> list[Order]:
        now = self._now()
        return [_order(one, now, released=True, by=by, successor=successor) for one in ended]

    def _note(self, orders: Iterable[Order]) -> None:
        for order in orders:
            self._recorder.order(order)
            self.ordered(order)

    async def _made(self, number: int, scope: Scope, by: str) -> Rollback:
        self._check_scope(scope)
        state = await self.at(number)
        latest = max((int(one.id) for one in self.active), default=0)
        made = Rollback(
            id=str(max(self._ingest.seq, latest + 1)),
            snapshot=number,
            scope=scope,
            at_unix_nanos=self._now(),
            clusters=frozenset(self._clusters() | {k.cluster for k in state.objects})
            - {k.cluster for k in state.unknown},
            spaces=self._spaces(scope),
            by=by,
        )
        objects = {key: body for key, body in state.objects.items() if made.covers(key)}
        return msgspec.structs.replace(made, objects=objects)

    def _check_scope(self, scope: Scope) -> None:
        if scope.reach is Reach.WORKSPACE and scope.name not in self._translator.owners.workspaces.items:
            known = ", ".join(sorted(self._translator.owners.workspaces.items)) or "there is none"
            raise NotPossible("UnknownWorkspace", f'workspace is "{scope.name}", it must be one of: {known}')
        if scope.reach is Reach.CLUSTER and scope.name not in self._clusters():
            known = ", ".join(sorted(self._clusters()))
            raise NotPossible("UnknownCluster", f'cluster is "{scope.name}", it must be one of: {known}')

    def _clusters(self) -> set[str]:
        return set(self._translator.owners.all_clusters(self._translator.peek()))

    def _spaces(self, scope: Scope) -> frozenset[str]:
        """The namespaces that the workspace owns now."""
        if scope.reach is not Reach.WORKSPACE:
            return frozenset()
        pairs = self._translator.owners.pairs.items.items()
        return frozenset("/".join(pair) for pair, owned in pairs if owned.workspace == scope.name)

    async def _preview(
        self, rollback: Rollback, rest: Sequence[Rollback], now: dict[ObjectKey, bytes]
    ) -> list[GatewayChange]:
        """Clusters that other rollbacks concern, too, are previewed apart."""
        out: list[GatewayChange] = []
        place = self._translator.place
        for stack, served in self._served(rollback, rest).items():
            over = [one for one in (rollback, *rest) if one.id in stack]
            out += await asyncio.to_thread(preview, lambda: Translator(place), now, over, served)
        return sorted(out)

    def _served(self, rollback: Rollback, rest: Sequence[Rollback]) -> dict[tuple[str, ...], dict[GatewayKey, Served]]:
        out: dict[tuple[str, ...], dict[GatewayKey, Served]] = {}
        copies: dict[int, dict[Any, Any]] = {}
        for cluster in self._clusters():
            if not rollback.concerns(cluster):
                continue
            stack = tuple(one.id for one in (rollback, *rest) if one.concerns(cluster))
            for name, scope in self._publisher.scopes(cluster).items():
                if name != CLUSTER_SCOPE:
                    live = scope.resources
                    copy = copies.setdefault(id(live), dict(live))
                    names = self._publisher.contributions((cluster, name))
                    out.setdefault(stack, {})[cluster, name] = Served(copy, names)
        return out


def _order(one: Rollback, at: int, **more: Any) -> Order:
    return Order(at=at, rollback=one.name, scope=one.scope, snapshot=one.snapshot, **more)
