"""The one door to a cluster, whatever it is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, NamedTuple, Protocol

from fingerpost.objects import ObjectKey


class Change(NamedTuple):
    """`body` is the canonical trimmed JSON; None means that the object is gone."""

    key: ObjectKey
    body: bytes | None


class Finding(NamedTuple):
    """Something a person must see about the source itself: a broken file, one object in two files, a vanished root."""

    source: str  # the file, relative to the root
    code: str
    message: str


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

    async def relist(self) -> None:
        """Read everything again without a cache; the next batch of every watcher has `listed`. Returns when that
        batch is queued.
        """
        ...

    def status(self, key: ObjectKey) -> Any:
        """As last seen or written; None when there is none."""
        ...

    async def release(self) -> int:
        """A person says that what is gone may go; the answer is the number of objects let go."""
        ...

    def want_secrets(self, names: Collection[tuple[str, str]]) -> None:
        """(namespace, name) of the Secrets that are needed; an API server is asked for no others."""
        ...

    async def write_status(self, key: ObjectKey, status: Mapping[str, Any]) -> None:
        """Atomically, and only when it differs from what is there."""
        ...
