"""What goes into the store and comes out of it, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, NewType

from fingerpost.objects import ObjectKey

HASH = 32

Epoch = NewType("Epoch", str)
Source = NewType("Source", str)  # who may write: "server" (management folder) or "agent:<cluster>"

SERVER = Source("server")
SHARED = Source("shared")  # pins: any replica writes, the last one wins


def agent_source(cluster: str) -> Source:
    return Source(f"agent:{cluster}")


class Stored(NamedTuple):
    """One object as it lies in memory and in Redis: its content hash and its canonical JSON."""

    hash: bytes
    body: bytes


class Write(NamedTuple):
    """`stored` None: the object is gone. `origin`: what its traces and measurements need, for the other replicas."""

    key: ObjectKey
    stored: Stored | None
    origin: str = ""


class Fence(NamedTuple):
    """The right to write for a source. A newer claim by anybody makes it worthless.

    Before Redis has been asked `token` is UNCLAIMED (will take the source over), FREE (only if nobody else has it) or
    what `free` makes.
    """

    source: Source
    token: bytes


UNCLAIMED, FREE = b"", b"-"


def free(known: int, epochs: Sequence[str]) -> bytes:
    """The token of who takes the source over unless somebody has claimed it later: in an epoch of Redis that is not one
    of these, or in the last of them after the seq `known`.
    """
    return b" ".join((FREE + str(known).encode(), *(epoch.encode() for epoch in reversed(epochs))))


class Group(NamedTuple):
    """Writes under one fence. Fence None: unfenced.

    `restore`: only what is absent, and only while nobody has claimed the source. `outdo`: also what is there, while
    nobody has claimed it in this epoch.

    `purge`: everything of the source goes, and every fence of it becomes worthless; `writes` is ignored. `fence` is the
    one of SERVER.
    """

    source: Source
    fence: Fence | None
    writes: tuple[Write, ...] = ()
    restore: bool = False
    outdo: bool = False
    purge: bool = False


class Entry(NamedTuple):
    """What happened in Redis while this replica did not look. `key.name` empty.

    The whole set (cluster, type) was dropped first.
    """

    key: ObjectKey
    stored: Stored | None
    origin: str = ""

    @property
    def drops_set(self) -> bool:
        return not self.key.name


class WriteResult(NamedTuple):
    """`seq` after the call. `missed`: what others wrote after `known` and before our writes, one entry per key.

    `gap`: the stream no longer reaches back to `known`; compare everything.
    `refused`: sources whose fence is worthless, nothing of them was written.
    """

    seq: int
    missed: tuple[Entry, ...]
    gap: bool
    refused: frozenset[Source]


class Attached(NamedTuple):
    """What this replica and Redis have agreed on."""

    epoch: Epoch
    seq: int


class Loaded(NamedTuple):
    """All inputs at `seq` or a little later: the next write brings the difference. `corrupt`.

    Keys whose bytes do not fit their hash.
    """

    seq: int
    inputs: Mapping[ObjectKey, Stored]
    corrupt: tuple[ObjectKey, ...]


class StoreStatus(NamedTuple):
    """What `fingerpost check` wants to know."""

    eviction_policy: str
    append_only: bool
