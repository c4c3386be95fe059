"""What the admin API needs of the rest of the server. Nothing here decides anything; `mgmt.app` fills it in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from fingerpost.cluster.protocol import Finding
from fingerpost.objects import ObjectKey
from mgmt.bell import Bell
from mgmt.changes.events import Events
from mgmt.changes.journal import Journal
from mgmt.history.rollbacks import Rollbacks
from mgmt.ingest.inputs import Inputs
from mgmt.ingest.values import ClusterStates
from mgmt.pins.outputs import Outputs
from mgmt.publish.arrival import GatewayState
from mgmt.publish.publisher import Publisher
from mgmt.relay.gate import RelayInfo
from mgmt.translate.scopes import GatewayKey
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
    def trouble(self) -> str: ...

    @property
    def reached(self) -> bool: ...

    @property
    def owns_management(self) -> bool: ...

    def owns(self, cluster: str) -> bool: ...

    def knows(self, cluster: str) -> bool: ...


class StoreInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Redis as `check` shows it: where it is and how it is set up."""

    where: str  # an address without user and password
    embedded: bool = False
    reachable: bool = True
    persistence: str = ""  # "appendonly, fsync always"
    eviction: str = ""  # maxmemory-policy


def connected_here(plane: Plane) -> list[str]:
    """The clusters about whose agents and gateways this replica has the last word."""
    return [name for name in sorted(plane.ingest.states.clusters) if plane.ingest.owns(name)]


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
    journal: Journal
    events: Events
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
    relay: Callable[[], RelayInfo] = RelayInfo
    registration: Callable[[str], Mapping[str, Any]] = lambda _: {}  # a KubernetesCluster's status: is its agent there
    outputs: Outputs | None = None  # what gateways get while something is rolled back; None: nothing ever is
    rollbacks: Rollbacks | None = None  # None: no history is kept here
    told: Callable[[GatewayKey], GatewayState | None] = lambda _: None  # by the replica that has the gateway's agent
    relist: Callable[[Sequence[str]], None] = field(default=lambda _: None)
    queues: Callable[[], Mapping[str, Any]] = dict  # for /debug/queues: names and numbers
