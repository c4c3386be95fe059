"""What replicas tell each other about arrival (design D9): of each gateway whose agent is connected to it a replica
says up to which change it has everything, in one batch per turn at most and off the hot path.

Versions differ from replica to replica, since each takes inputs in turns of its own; sequence numbers do not. So a
gateway that has acknowledged all that its replica has published is told as complete, and counts up to the number that
this replica has come to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Never, Protocol

import msgspec
import structlog

from fingerpost.relay.applied import ScopeException
from mgmt.bell import Bell
from mgmt.publish.arrival import GatewayState
from mgmt.relay.ports import ScopeView
from mgmt.store.errors import StoreError
from mgmt.translate.scopes import GatewayKey

log = structlog.get_logger()
_PAUSE = 0.3  # seconds between two batches
_AGAIN = 1.0  # seconds until Redis is asked again
_SEQ = "seq"  # beside the gateways' fields; a gateway's has two slashes


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one gateway. `reached`: the change up to which all has arrived; of no account when it is complete."""

    complete: bool = False
    reached: int | None = None
    proxies: int | None = 0
    exceptions: tuple[ScopeException, ...] = ()
    lagging: tuple[str, ...] = ()
    lagging_since_unix_nanos: int = 0


_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder(Told)


class Board(Protocol):
    """The part of `mgmt.store.redis_store.RedisStore` that is needed. Fields of one replica, changed together; None: it
    is gone.
    """

    replica: str

    async def tell(self, fields: Mapping[str, bytes | None]) -> None: ...

    def hear(self) -> AsyncIterator[Mapping[str, Mapping[str, bytes | None]]]: ...


def told_of(state: GatewayState, scope: ScopeView | None) -> Told:
    return Told(
        complete=scope is not None and state.watermark is not None and state.watermark >= scope.version,
        reached=_reached(state.watermark, scope),
        proxies=state.proxies,
        exceptions=state.exceptions,
        lagging=state.lagging,
        lagging_since_unix_nanos=state.lagging_since_unix_nanos,
    )


def _reached(watermark: int | None, scope: ScopeView | None) -> int | None:
    """All before the first version that has not been acknowledged."""
    if watermark is None or scope is None or watermark >= scope.version:
        return None
    late = [entry for entry in scope.log if entry.version > watermark]
    return late[0].version - 1 if late and late[0].previous <= watermark else watermark


class Elsewhere:
    """What the other replicas have said."""

    def __init__(self) -> None:
        self._seq: dict[str, int] = {}
        self._told: dict[str, dict[str, Told]] = {}

    def forget(self) -> None:
        self._seq.clear()
        self._told.clear()

    def hear(self, replica: str, fields: Mapping[str, bytes | None]) -> None:
        told = self._told.setdefault(replica, {})
        for field, value in fields.items():
            if field == _SEQ:
                self._seq[replica] = int(value or b"0")
            elif value is None:
                told.pop(field, None)
            else:
                told[field] = _decoder.decode(value)

    def state(self, replica: str, gateway: GatewayKey) -> GatewayState | None:
        """None: it has said nothing of the gateway."""
        told = self._told.get(replica, {}).get("/".join(gateway))
        if told is None or replica not in self._seq:
            return None
        return GatewayState(
            watermark=self._seq[replica] if told.complete else told.reached,
            proxies=told.proxies,
            exceptions=told.exceptions,
            lagging=told.lagging,
            lagging_since_unix_nanos=told.lagging_since_unix_nanos,
        )


class Exchange:
    """`own()`: config_version, and the gateways whose agents are connected here. `epoch()`: of Redis; in another one
    all is said anew. `heard()` is called when another replica has said something. `turns` ring after a turn
    and after an answer of an agent.
    """

    def __init__(
        self,
        board: Board,
        own: Callable[[], tuple[int, Iterable[tuple[GatewayKey, Told]]]],
        epoch: Callable[[], str],
        heard: Callable[[], None],
        *turns: Bell,
    ) -> None:
        self.elsewhere = Elsewhere()
        self._board, self._own, self._epoch, self._heard = board, own, epoch, heard
        self._turns = turns
        self._said: dict[str, bytes] = {}
        self._said_in = ""
        self._due = asyncio.Event()

    async def run(self) -> Never:
        async with asyncio.TaskGroup() as tasks:
            for turn in self._turns:
                tasks.create_task(self._wait(turn), name="mgmt.arrival.turn")
            tasks.create_task(self._tell(), name="mgmt.arrival.tell")
            tasks.create_task(self._listen(), name="mgmt.arrival.hear")
        raise RuntimeError("replicas tell each other nothing more")

    async def _wait(self, turn: Bell) -> Never:
        while True:
            await turn.wait()
            self._due.set()

    async def _tell(self) -> Never:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._say()
            except StoreError:
                self._said.clear()
                self._due.set()
                await asyncio.sleep(_AGAIN)
            await asyncio.sleep(_PAUSE)

    async def _say(self) -> None:
        if (epoch := self._epoch()) != self._said_in:
            self._said, self._said_in = {}, epoch
        seq, own = self._own()
        now = {"/".join(gateway): _encoder.encode(told) for gateway, told in own} | {_SEQ: b"%d" % seq}
        changed: dict[str, bytes | None] = dict.fromkeys(self._said.keys() - now.keys())
        changed |= {field: value for field, value in now.items() if self._said.get(field) != value}
        if changed:
            await self._board.tell(changed)
            self._said = now

    async def _listen(self) -> Never:
        while True:
            try:
                async with aclosing(self._board.hear()) as hearing:  # type: ignore[type-var]  # a generator
                    whole = True
                    async for batch in hearing:
                        if whole:  # what went while nobody listened is not named
                            self.elsewhere.forget()
                            whole = False
                        for replica, fields in batch.items():
                            self.elsewhere.hear(replica, fields)
                        self._heard()
            except StoreError:
                await asyncio.sleep(_AGAIN)
