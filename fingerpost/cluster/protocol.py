"""The one door to a cluster, whatever it is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from enum import Enum
from typing import Any, NamedTuple, Protocol

from fingerpost.objects import ObjectKey


class Change(NamedTuple):
    """`body` is the canonical trimmed JSON; None means that the object is gone."""

    key: ObjectKey
    body: bytes | None


class Finding(NamedTuple):
    """Something a person must see about the source itself: a broken file, one object in two files, a vanished root.

    `keeps`: objects that are in force all the same, but not as they are written there.
    """

    source: str  # the file, relative to the root
    code: str
    message: str
    keeps: frozenset[ObjectKey] = frozenset()


class Batch(NamedTuple):
    """All changes at hand at one moment. `listed`: a complete listing ends with this batch, absence now means deletion.

    `findings` are all that hold now, not only new ones. `seen_unix_nanos` is when the first event of the batch was
    seen. `unlisted` are types that the listing says nothing of: they may not be listed, or are not served (any more).
    """

    changes: tuple[Change, ...]
    listed: bool
    findings: tuple[Finding, ...]
    seen_unix_nanos: int
    unlisted: frozenset[str] = frozenset()


class ClusterFailed(Exception):
    """The cluster, or what is kept about it, could not be read or written."""


class Why(Enum):
    """Why an object could not be written, in words that go into statuses."""

    NAME_CONFLICT = "NameConflict"
    NAMESPACE_MISSING = "NamespaceMissing"
    KIND_MISSING = "KindMissing"
    REFUSED = "Refused"
    UNAVAILABLE = "Unavailable"


class NotWritten(ClusterFailed):
    """One object could not be applied or removed. `retry_after`: seconds that the API server asks for."""

    def __init__(self, why: Why, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.why, self.retry_after = why, retry_after


class Account(NamedTuple):
    """A service account of the cluster."""

    namespace: str
    name: str


class Announcement(NamedTuple):
    """What a person must see about an object: `reason` is one word in CamelCase, `note` a sentence."""

    reason: str
    note: str
    warning: bool = True


class Outputs(Protocol):
    """Where a cluster takes objects that this system makes, and tells who somebody is."""

    @property
    def marks(self) -> Mapping[str, str]:
        """The labels of everything that this system makes here."""
        ...

    async def account_of(self, token: str) -> Account | None:
        """Whose service-account token it is; None: nobody's. Raises ClusterFailed."""
        ...

    async def annotate(self, key: ObjectKey, annotations: Mapping[str, str]) -> None:
        """Beside those that an object has; nothing happens when it is gone, or somebody gave them otherwise. Raises
        ClusterFailed.
        """
        ...

    async def create(self, key: ObjectKey, obj: Mapping[str, Any]) -> bool:
        """An object for the users, who own it from then on; of several that try at once one does it. False when there
        is one already: it stays as it is. Raises NotWritten.
        """
        ...

    async def announce(self, key: ObjectKey, said: Announcement) -> None:
        """As an Event about an object; nothing happens when it is gone. Raises ClusterFailed."""
        ...

    def held(self, key: ObjectKey) -> bytes | None:
        """The trimmed body as last seen; None when it is not there, or its kind is not watched."""
        ...

    async def own(self, type_: str) -> list[bytes]:
        """The trimmed bodies of all objects of a type that this system made; none when the kind is not served. Raises
        ClusterFailed.
        """
        ...

    async def apply(self, key: ObjectKey, obj: Mapping[str, Any]) -> bytes:
        """The trimmed body as it is there now. Raises NotWritten; what others made is never touched."""
        ...

    async def remove(self, key: ObjectKey) -> None:
        """Only what this system made. Raises NotWritten."""
        ...


class Cluster(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that hold now."""
        ...

    @property
    def uid(self) -> str:
        """Stands for the UID of namespace kube-system."""
        ...

    def watch(self, types: Collection[str] | None = None) -> AsyncIterator[Batch]:
        """First a complete listing, then changes, for ever. `types` None: all; patterns such as `*.gloo.solo.io/*`
        are allowed.

        Ends only by cancellation.
        """
        ...

    async def relist(self) -> frozenset[str]:
        """Read everything again without a cache; the next batch of every watcher has `listed`. Returns when that
        batch is queued: patterns of the types that could not be read now, of which older objects are told.
        """
        ...

    def status(self, key: ObjectKey) -> Any:
        """As last seen or written; None when there is none."""
        ...

    async def release(self) -> int:
        """A person says that what is gone may go; the answer is the number of objects let go."""
        ...

    @property
    def outputs(self) -> Outputs | None:
        """None: this cluster takes no objects (a folder of manifests is the users')."""
        ...

    def want(self, type_: str, names: Collection[tuple[str, str]]) -> None:
        """(namespace, name) of what is needed of Secrets or ConfigMaps; an API server is asked for no others."""
        ...

    def unread(self, type_: str) -> frozenset[tuple[str, str]]:
        """What is wanted and was not looked for yet. A batch follows once it was, whether it is there or not."""
        ...

    async def write_status(self, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        """Atomically, and only when it differs from what is there: True when it was written. Raises ClusterFailed."""
        ...

    def hear_statuses(self, heard: Callable[[ObjectKey], None]) -> None:
        """`heard` is called with every object that is new or changed, or whose status is not the one written here."""
        ...
