"""What the system wrote into a cluster, of whatever kind: found by the labels of relay.md §2.3, and removed.

Objects without these labels are never touched, not even those of our own kinds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from ctl.exits import Code, Failed
from ctl.kube.api import NAMES_ONLY, Kube, Object
from fingerpost.cluster.kubernetes.api import ApiFailed
from fingerpost.cluster.kubernetes.discovery import ACCEPT, PATHS, Resource, groups, served

_PAGE = "500"
_AT_ONCE = 8
_POLL = 0.2


class Traces(NamedTuple):
    """`unseen`: kinds that may not be listed, or that cannot be now."""

    objects: Sequence[tuple[Resource, Object]]
    unseen: Sequence[str]

    @property
    def counts(self) -> str:
        kinds = Counter(resource.type.rpartition("/")[2] for resource, _ in self.objects)
        return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))


class Purge:
    """Raises ApiFailed, Failed."""

    def __init__(self, kube: Kube, cluster: str, owners: Sequence[str]) -> None:
        """`owners`: namespaces of the management plane; what another plane wrote here stays."""
        self._kube = kube
        owned = f"owner.gloo.solo.io/name in ({','.join(sorted(set(owners)))})"
        self._selector = f"reconciler.mesh.gloo.solo.io/name,relay.solo.io/cluster={cluster},{owned}"
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def find(self) -> Traces:
        documents = [await self._kube.api.get(path, groups, None, ACCEPT) for path in PATHS]
        known = served(documents)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    (resource, group.create_task(self._of(resource), name=f"list {resource.type}"))
                    for resource in known.resources.values()
                ]
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        found, unseen = [], [f"all of {group}" for group in sorted(known.stale)]
        for resource, task in tasks:
            objects = task.result()
            if objects is None:
                unseen.append(resource.type)
            else:
                found += [(resource, obj) for obj in objects]
        return Traces(found, unseen)

    async def _of(self, resource: Resource) -> list[Object] | None:
        """None: not allowed."""
        out: list[Object] = []
        query = {"labelSelector": self._selector, "limit": _PAGE}
        while True:
            try:
                async with self._slots:
                    page = await self._kube.get(resource.where(), query, NAMES_ONLY)
            except ApiFailed as failed:
                if failed.status in (404, 405):
                    return out
                if failed.status == 403:
                    return None
                raise
            out += page["items"] or ()  # null where there are none
            more = page["metadata"].get("continue")
            if not more:
                return out
            query["continue"] = more

    async def remove(self, timeout: float) -> int:
        """How many there were. Looks again until none is left, since finalizers take their time."""
        removed: set[str] = set()
        left = Traces((), ())
        try:
            async with asyncio.timeout(timeout):
                while (left := await self.find()).objects:
                    for resource, obj in left.objects:
                        await self._delete(resource, obj)
                        removed.add(obj["metadata"]["uid"])
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            message = f"after {timeout:g}s these are still there: {left.counts}"
            hint = "somebody writes them anew, or a finalizer holds them; then repeat the command"
            raise Failed(Code.TIMEOUT, message, hint, "NotPurged") from None
        return len(removed)

    async def _delete(self, resource: Resource, obj: Object) -> None:
        """Only this very one: another of its name may have come since."""
        meta = obj["metadata"]
        body: dict[str, Any] = {"preconditions": {"uid": meta["uid"]}}
        try:
            await self._kube.api.delete(resource.where(meta.get("namespace", ""), meta["name"]), body)
        except ApiFailed as failed:
            if failed.status not in (404, 409):
                raise
