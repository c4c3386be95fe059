"""What the admin API needs of the rest of the server. Nothing here decides anything; `mgmt.app` fills it in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from fingerpost.cluster.protocol import Finding
from fingerpost.objects import ObjectKey
from mgmt.ingest.inputs import Inputs
from mgmt.ingest.values import ClusterStates
from mgmt.publish.publisher import Publisher
from mgmt.translate.translator import Translator


class Ingested(Protocol):
    """The part of `mgmt.ingest.ingest.Ingest` that is asked here."""

    @property
    def inputs(self) -> Inputs: ...

    @property
    def states(self) -> ClusterStates: ...

    @property
    def findings(self) -> Sequence[Finding]: ...

    @property
    def seq(self) -> int: ...

    @property
    def synced(self) -> bool: ...

    @property
    def owns_management(self) -> bool: ...

    def owns(self, cluster: str) -> bool: ...


class StoreInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Redis as `check` shows it: where it is and how it is set up."""

    where: str  # an address without user and password
    embedded: bool = False
    reachable: bool = True
    persistence: str = ""  # "appendonly, fsync always"
    eviction: str = ""  # maxmemory-policy


class Bell:
    """Rung after each published turn, so that whoever waits for one need not ask again and again."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        for waiter in tuple(self._waiters):
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    @property
    def awaited(self) -> bool:
        return bool(self._waiters)

    async def wait(self) -> None:
        """Returns at the next ring."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


async def _nothing_to_release() -> int:
    return 0


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One replica. Every callable returns at once or awaits no more than one round trip to Redis or the folder."""

    translator: Translator
    publisher: Publisher
    ingest: Ingested
    changed_at: Callable[[ObjectKey], int]  # config_version of the object's last change; 0: since before this process
    turns: Bell  # `mgmt.app` rings it after each `Publisher.publish`
    store: Callable[[], Awaitable[StoreInfo]]
    version: str
    now: Callable[[], int]  # Unix nanoseconds
    replica: str = "mgmt"
    management: str = "mgmt"
    admin_namespace: str = "gloo-mesh"
    folder: str = ""  # of the management cluster; "" where there is none
    release_folder: Callable[[], Awaitable[int]] = _nothing_to_release  # objects let go of the management folder
    serving: Callable[[], bool] = lambda: True  # first translation done, caught up with Redis, ports open
    insecure: bool = False  # the relay is in plaintext
    conflicts: Callable[[], Mapping[str, str]] = lambda: {}  # by cluster: what a second one of its name did just now
    relist: Callable[[Sequence[str]], None] = field(default=lambda _: None)
