"""What ingest hands to the rest of the server, and what it asks of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from fingerpost.objects import ObjectKey


class InputChange(NamedTuple):
    """`body` None: gone. `seen_unix_nanos`: when it was seen in its cluster; 0 when nobody knows (read from Redis)."""

    key: ObjectKey
    body: bytes | None
    seen_unix_nanos: int = 0
    traceparent: str = ""


class Pipeline(Protocol):
    """The lead of a turn. Both calls are synchronous; `translate` may take CPU, Redis works meanwhile."""

    def translate(self, changes: Sequence[InputChange]) -> object:
        """Once or twice per turn; the first call of a process brings all that Redis holds."""

    def publish(self, results: Sequence[object], seq: int) -> None:
        """Once per turn, with the results of its calls of `translate`. `seq` never goes back."""


class State(enum.StrEnum):
    """relay.md §3.4."""

    REGISTERED = "Registered"
    PENDING = "Pending"
    SYNCING = "Syncing"
    WARM = "Warm"
    CACHED = "Cached"
    COLD = "Cold"


class ClusterState(msgspec.Struct, frozen=True, kw_only=True):
    """`ready`: the gate of relay.md §7.3. `since`: unix nanoseconds, 0 when unknown.

    The rest is empty without a session.
    """

    state: State
    ready: bool
    since: int = 0
    replica: str = ""
    instance: str = ""
    version: str = ""
    peer: str = ""
    skip_warming: bool = False


class ClusterStates(msgspec.Struct, frozen=True, kw_only=True):
    """`clusters`: every KubernetesCluster and every Pending name. `management`.

    The server's own reading of its cluster.
    """

    clusters: Mapping[str, ClusterState] = {}
    management: ClusterState = ClusterState(state=State.REGISTERED, ready=False)
