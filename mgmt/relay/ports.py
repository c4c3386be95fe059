"""What the relay needs from the rest of the server. The relay imports nothing else of `mgmt`; ingest and the
publisher implement these.

Everything that is not `async` is called on the event loop and must return at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, NewType, Protocol

import msgspec

from fingerpost.objects import ObjectKey
from fingerpost.relay.applied import ScopeApplied
from fingerpost.relay.digest import SetDigest
from fingerpost.relay.interest import Interest
from fingerpost.relay.pieces import PieceList
from fingerpost.relay.reasons import Reason

Fence = NewType("Fence", int)
Name = tuple[str, str]  # namespace, name
NEVER = -1  # lower than every version: of a scope that was gone before this server began


class SessionControl(Protocol):
    """How ingest acts on a running session. Both return at once and may be called from any task of the loop."""

    def close(self, reason: Reason, message: str, retry_after: float = 0.0) -> None:
        """Say Goodbye and end the stream (fenced out, deregistered, duplicate)."""

    def relist(self, types: Collection[str] = ()) -> None:
        """Demand an uncached listing of these types (all when empty); `Ingest.listed` is called as each one ends."""


class ShownCertificate(NamedTuple):
    """What proves an agent: SHA-256 in hex, and its validity in unix nanoseconds. `begins` is 0 where it was brought:
    of those that a server like this one issued it tells which roots came with it.
    """

    fingerprint: str
    begins: int
    ends: int


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who is at the other end of a stream. `types` are the types that the agent announced and `Ingest.accepted_types`
    takes; Warm means that all of them are listed.
    """

    cluster: str
    cluster_uid: str
    instance: str
    version: str
    role: str
    features: frozenset[str]
    types: tuple[str, ...]
    peer: str
    control: SessionControl
    certificate: ShownCertificate | None = None  # None: a token, or nothing, was the proof
    answered: bytes = b""  # the digest of the Interest whose facts are in what it announced


class Upsert(NamedTuple):
    namespace: str
    name: str
    hash: bytes
    body: bytes


class Ingest(Protocol):
    """Facts of the clusters, in memory at once, in Redis a moment later."""

    def digests(self, cluster: str) -> Mapping[str, SetDigest]:
        """What the server holds of this cluster, per type. Keys of the digest: `fingerpost.relay.digest.object_key`."""

    def keys(self, cluster: str, type_: str) -> Mapping[Name, bytes]:
        """(namespace, name) -> content hash of what is held."""

    def accepted_types(self, cluster: str) -> Collection[str] | None:
        """The only types this server takes from the cluster's agent; None: all."""

    async def open(self, cluster: str, session: SessionInfo) -> Fence:
        """Claim the cluster. Raises Refused (NOT_REGISTERED, DUPLICATE, ...); may also wait while the cluster is
        Pending: heartbeats go on.
        """

    async def admit(
        self, cluster: str, cluster_uid: str, peer: str, end: Callable[[Reason, str], None]
    ) -> Callable[[], None]:
        """Whether a reader may have the desired state of the cluster: returns when it is known that this is the cluster
        of this name, as its facts prove. Raises Refused. `end` is called when that holds no longer; the answer is
        called when the reader is gone.
        """

    def accept(
        self,
        cluster: str,
        fence: Fence,
        type_: str,
        upserts: Sequence[Upsert],
        removes: Sequence[Name],
        seen_unix_nanos: int,
        traceparent: str,
        on_stored: Callable[[int], None],
    ) -> None:
        """In memory at once. `on_stored(config_version)` is called once when the change is in Redis; calls come in
        the order of `accept`.
        """

    def listed(self, cluster: str, fence: Fence, type_: str) -> None:
        """Everything the agent has of the type is in (also for a type that was in step from the start)."""

    def answered(self, cluster: str, fence: Fence, interest: bytes) -> None:
        """All facts that the Interest of this digest asks for are in."""

    async def close(self, cluster: str, fence: Fence) -> None:
        """The session is over, whatever the cause."""


class Changed(NamedTuple):
    """A resource that changed or went; `before` is its list's digest before (b"" where it did not exist)."""

    type: str
    name: str
    before: bytes


class LogEntry(NamedTuple):
    """One publication in the history of a scope. Like gateways should share the object.

    `previous` is the scope's version before, so an agent at version v can be served from the log when
    `log[0].previous <= v`. `base` and `after` are `SetDigest.total` of the scope before and after: a reconnecting
    agent is found by its digest.
    """

    version: int
    previous: int
    base: bytes
    after: bytes
    changed: tuple[Changed, ...]
    seen_unix_nanos: int = 0
    traceparent: str = ""


class ScopeView(Protocol):
    """One scope of one cluster, live: read at once whenever the session may send. `keep` is replaced, never edited in
    place.

    A change of `keep` or `confirmed` alone is a publication too: a LogEntry with no `changed` and a new version.
    A deleted gateway stays as a view with `gone` and without resources; a scope that is not there at all is told to
    an agent that still holds it as gone but unconfirmed, and the agent's guard decides.
    """

    @property
    def version(self) -> int:
        """config_version of the last change."""

    @property
    def resources(self) -> Mapping[tuple[str, str], PieceList]:
        """(type, name) -> list; equal gateways share one mapping."""

    @property
    def digest(self) -> SetDigest:
        """Of `resource_key(type, name)` -> `PieceList.digest`."""

    @property
    def keep(self) -> Mapping[str, str]:
        """contribution -> reason."""

    @property
    def confirmed(self) -> bool:
        """All losses up to this version were checked: versions are joined for a slow agent, so one unchecked loss
        counts.
        """

    @property
    def gone(self) -> bool: ...

    @property
    def log(self) -> Sequence[LogEntry]:
        """Newest last, bounded (a deque)."""


class Publisher(Protocol):
    """Desired state of every cluster."""

    @property
    def config_version(self) -> int: ...

    async def known(self, cluster: str) -> None:
        """Until `interest` says something: perhaps long before `ready`, which may wait for the answers."""

    async def ready(self, cluster: str) -> None:
        """Returns when this replica may serve the cluster: first translation done, caught up with Redis and with
        `seen`. Raises Refused.
        """

    def scopes(self, cluster: str) -> Mapping[str, ScopeView]: ...

    def is_cold(self, cluster: str) -> bool:
        """Whether what is missing in `scopes` may come yet. `wake` is called when that is over."""

    def subscribe(self, cluster: str, wake: Callable[[], None]) -> Callable[[], None]:
        """`wake` is called once per publication that touches the cluster's scopes or interest. Returns unsubscribe."""

    def applied(self, cluster: str, config_version: int, scopes: Sequence[ScopeApplied]) -> None:
        """Only the scopes that changed."""

    def seen(self, cluster: str, config_version: int) -> None:
        """The highest config_version an agent reports; Redis' seq is raised above it when it has lost its memory
        (D4).
        """

    def interest(self, cluster: str) -> Interest: ...

    def arrivals_after(self, cluster: str, number: int, most: int) -> tuple[int, Sequence[tuple[ObjectKey, bytes]]]:
        """What became known after `number` (0: ever) of the arrival of objects in the cluster, as `status.arrival` in
        JSON, the oldest first; and the number to go on from. `wake` is called for these, too.
        """

    async def sign(self, cluster: str, id_: str, csr: bytes) -> tuple[bytes, bytes]:
        """(chain, roots) as PEM. Raises Refused."""


class Metrics(Protocol):
    """Names and labels of relay.md §13.2."""

    def add(self, name: str, value: float = 1, **labels: str) -> None: ...

    def set(self, name: str, value: float, **labels: str) -> None: ...


class NoMetrics:
    """For whoever does not measure."""

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        return None

    def set(self, name: str, value: float, **labels: str) -> None:
        return None
