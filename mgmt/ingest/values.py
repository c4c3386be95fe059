"""What ingest hands to the rest of the server, and what it asks of it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from fingerpost.api.admin.kubernetes_cluster import Approval
from fingerpost.objects import ObjectKey
from mgmt.store.values import Source


class InputChange(NamedTuple):
    """`body` None: gone. `seen_unix_nanos`: when it was seen in its cluster; 0 when nobody knows (read from Redis).
    `received_unix_nanos`: when this replica got it; 0 when it was there at the start. `elsewhere`: through Redis.
    """

    key: ObjectKey
    body: bytes | None
    seen_unix_nanos: int = 0
    traceparent: str = ""
    received_unix_nanos: int = 0
    elsewhere: bool = False


def origin_of(change: InputChange) -> str:
    """For other replicas: "<seen unix nanos> <traceparent>", "" where neither is known."""
    known = change.seen_unix_nanos or change.traceparent
    return f"{change.seen_unix_nanos} {change.traceparent}" if known else ""


def with_origin(change: InputChange, origin: str) -> InputChange:
    """Of what came through Redis; what cannot be read counts as unknown."""
    seen, _, traceparent = origin.partition(" ")
    return change._replace(seen_unix_nanos=int(seen), traceparent=traceparent) if seen.isdecimal() else change


class Pipeline(Protocol):
    """The lead of a turn. Both calls are synchronous; `translate` may take CPU, Redis works meanwhile."""

    def translate(self, changes: Sequence[InputChange]) -> object:
        """Once or twice per turn; the first call of a process brings all that Redis holds."""

    def publish(self, results: Sequence[object], seq: int, stored_unix_nanos: int = 0) -> None:
        """Once per turn, with the results of its calls of `translate`. `seq` never goes back. `stored_unix_nanos`: when
        Redis had what the turn brought; 0: it has it not, or there was nothing to write.
        """


class State(enum.StrEnum):
    """relay.md §3.4."""

    REGISTERED = "Registered"
    PENDING = "Pending"
    SYNCING = "Syncing"
    WARM = "Warm"
    CACHED = "Cached"
    COLD = "Cold"


class ClusterState(msgspec.Struct, frozen=True, kw_only=True):
    """`ready`: the gate of relay.md §7.3; nothing waits for who does not take part. `since` and `certificate_*`, of the
    last one shown: unix nanoseconds, 0 when unknown. `approval` None: nobody asked for it. The rest is empty without a
    session.
    """

    state: State
    ready: bool
    since: int = 0
    replica: str = ""
    instance: str = ""
    version: str = ""
    peer: str = ""
    skip_warming: bool = False
    certificate_begins: int = 0
    certificate_ends: int = 0
    approval: Approval | None = None

    @property
    def awaits_agent(self) -> bool:
        """It has not told everything; of the others nobody can say that as long as Redis is away."""
        return self.state in (State.COLD, State.SYNCING)


class ClusterStates(msgspec.Struct, frozen=True, kw_only=True):
    """`clusters`: every KubernetesCluster and every Pending name. `management`.

    The server's own reading of its cluster.
    """

    clusters: Mapping[str, ClusterState] = {}
    management: ClusterState = ClusterState(state=State.REGISTERED, ready=False)

    @property
    def gates(self) -> Mapping[str, bool]:
        return {name: state.ready for name, state in self.clusters.items()}


class Hooks(Protocol):
    """What the rest of ingest does inside a turn."""

    def turn_begins(self, changes: Iterable[ObjectKey]) -> bool:
        """These inputs are about to be translated. Says whether that is to be done without any, too."""

    def fenced(self, source: Source) -> None:
        """Another replica has claimed the source."""

    def lost(self) -> None:
        """Redis has just gone away."""

    def outdated(self) -> bool:
        """Redis, all of it read, is behind what an agent holds. Says whether agents may be told what it has."""

    def closing_records(self, epoch: str) -> None:
        """All that this replica holds is in Redis; say so with `epoch`."""
