"""A Lease of coordination.k8s.io: of several processes one leads, and knows at any time whether it still may.

Clocks of other machines are not believed: a Lease is over when nobody has renewed it for its duration as seen here.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from typing import Any, Never

import msgspec
import structlog

from fingerpost.cluster.kubernetes.api import MERGE, Api, ApiFailed

log = structlog.get_logger()
_CONFLICT, _NOT_FOUND = 409, 404


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds (relay.md §9.1). `deadline`: without a renewal for so long the leader stops, before others may begin."""

    duration: int = 15
    deadline: float = 10.0
    retry: float = 2.0


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _Lease(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()


_decoder = msgspec.json.Decoder(_Lease)


class Lease:
    """`run` beside the work; `changed(held)` is called when this process begins or ceases to lead."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        changed: Callable[[bool], None],
        times: Times = Times(),  # noqa: B008  (a frozen value)
    ) -> None:
        self.changed = changed
        self._api, self._name, self._identity, self._times = api, name, identity, times
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._until = 0.0  # monotonic
        self._told = False
        self._seen: tuple[str, float] = ("", 0.0)  # version of the Lease, and when it was first seen

    @property
    def held(self) -> bool:
        """By the clock: also a process that was stopped for a while knows that its time is over."""
        return time.monotonic() < self._until

    async def begin(self) -> None:
        """One attempt, so that who is alone leads from the start; `changed` does not hear of it."""
        await self._look()
        self._told = self.held

    async def run(self) -> Never:
        try:
            while True:
                self._tell(await self._look())
                await asyncio.sleep(self._times.retry)
        finally:
            await self._release()

    async def _look(self) -> str:
        """Why it cannot be told who leads; "" when it can."""
        began = time.monotonic()
        try:
            if await self._try():
                self._until = began + self._times.deadline
        except ApiFailed as failed:
            return str(failed)
        return ""

    def _tell(self, complaint: str) -> None:
        if self.held != self._told:
            self._told = self.held
            event = "lease.leading" if self._told else "lease.lost"
            log.info(event, resource=self._name, instance=self._identity, reason=complaint)
            self.changed(self._told)

    async def _try(self) -> bool:
        """Whether this process holds the Lease. Raises ApiFailed."""
        try:
            found = await self._api.get(f"{self._path}/{self._name}", _decoder.decode)
        except ApiFailed as failed:
            if failed.status != _NOT_FOUND:
                raise
            return await self._written(self._api.post(self._path, self._object(_Lease(_Metadata())), _decoder.decode))
        now, version = time.monotonic(), found.metadata.resource_version
        if self._seen[0] != version:
            self._seen = version, now
        holder = found.spec.holder_identity
        lasts = float(found.spec.lease_duration_seconds or self._times.duration)
        if holder and holder != self._identity and now < self._seen[1] + lasts:
            return False
        return await self._written(
            self._api.patch(
                f"{self._path}/{self._name}",
                self._object(found),
                MERGE,
                _decoder.decode,
                {"fieldManager": self._identity},
            )
        )

    async def _written(self, request: Any) -> bool:
        """False: another one was faster."""
        try:
            await request
        except ApiFailed as failed:
            if failed.status != _CONFLICT:
                raise
            return False
        return True

    def _object(self, found: _Lease, holder: str | None = None) -> dict[str, Any]:
        """With the version that was read: the API server refuses it when another one has written since."""
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        new = found.spec.holder_identity != self._identity
        spec: dict[str, Any] = {
            "holderIdentity": self._identity if holder is None else holder,
            "leaseDurationSeconds": self._times.duration,
            "renewTime": now,
        }
        if new:
            spec |= {"acquireTime": now, "leaseTransitions": (found.spec.lease_transitions or 0) + 1}
        metadata = {"name": self._name}
        if version := found.metadata.resource_version:
            metadata["resourceVersion"] = version
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }

    async def _release(self) -> None:
        """So that another one need not wait for the end."""
        if not self.held:
            return
        self._until = 0.0
        try:
            async with asyncio.timeout(self._times.retry):
                found = await self._api.get(f"{self._path}/{self._name}", _decoder.decode)
                if found.spec.holder_identity == self._identity:
                    body = self._object(found, holder="")
                    query = {"fieldManager": self._identity}
                    await self._api.patch(f"{self._path}/{self._name}", body, MERGE, _decoder.decode, query)
        except (ApiFailed, TimeoutError) as failed:
            log.info("lease.kept", resource=self._name, reason=str(failed) or "no answer in time")
