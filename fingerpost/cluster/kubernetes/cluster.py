"""KubernetesCluster: a cluster behind its API server (design D8).

What is read of it is the mirror's; what is written, and who asks, goes to the API server from here.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import structlog

from fingerpost.cluster.kubernetes.accounts import reviewed
from fingerpost.cluster.kubernetes.answers import stored
from fingerpost.cluster.kubernetes.api import Api, ApiFailed, connected
from fingerpost.cluster.kubernetes.applying import Applying
from fingerpost.cluster.kubernetes.discovery import Resource
from fingerpost.cluster.kubernetes.events import record
from fingerpost.cluster.kubernetes.mirror import SECRET, Mirror
from fingerpost.cluster.kubernetes.statuses import Statuses
from fingerpost.cluster.protocol import Account, Announcement, Batch, Finding, NotWritten, Outputs, Why
from fingerpost.objects import ObjectKey

log = structlog.get_logger()
_FORBIDDEN = 403
_KUBE_SYSTEM = "/api/v1/namespaces/kube-system"


class KubernetesCluster:
    """Use `kubernetes_cluster`. `types` may hold patterns such as `*.gloo.solo.io/*`; no `namespaces`: all."""

    def __init__(
        self,
        name: str,
        api: Api,
        types: Collection[str],
        namespaces: Collection[str],
        manager: str,
        marks: Mapping[str, str],
    ) -> None:
        self._name, self._api, self._manager = name, api, manager
        self._applying = Applying(api, manager, marks)
        self._statuses = Statuses(api, manager)
        self._mirror = Mirror(name, api, types, namespaces, self._statuses)
        self._uid = ""

    # ---------------------------------------------------------------- Cluster

    @property
    def name(self) -> str:
        return self._name

    @property
    def uid(self) -> str:
        return self._uid

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self._mirror.findings

    def watch(self, types: Collection[str] | None = None) -> AsyncIterator[Batch]:
        return self._mirror.watch(types)

    async def relist(self) -> frozenset[str]:
        return await self._mirror.relist()

    async def write_status(self, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        """Raises ClusterFailed; nothing happens when the object is gone or bears this status already."""
        resource = self._mirror.served.get(key.type)
        if resource is None or not resource.status:
            return False
        return await self._statuses.write(resource, key, status)

    def status(self, key: ObjectKey) -> Any:
        """As last seen or written; None when there is none."""
        return self._statuses.read(key)

    def hear_statuses(self, heard: Callable[[ObjectKey], None]) -> None:
        self._statuses.hear(heard)

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        body = self._mirror.bodies.get(ObjectKey(SECRET, self._name, namespace, name))
        if body is None:
            return None
        return {key: base64.b64decode(text) for key, text in (msgspec.json.decode(body).get("data") or {}).items()}

    def want(self, type_: str, names: Collection[tuple[str, str]]) -> None:
        self._mirror.want(type_, names)

    def unread(self, type_: str) -> frozenset[tuple[str, str]]:
        return self._mirror.unread(type_)

    async def release(self) -> int:
        return self._mirror.release()

    @property
    def outputs(self) -> Outputs:
        return self

    @property
    def marks(self) -> Mapping[str, str]:
        return self._applying.marks

    def held(self, key: ObjectKey) -> bytes | None:
        return self._mirror.bodies.get(key)

    async def annotate(self, key: ObjectKey, annotations: Mapping[str, str]) -> None:
        resource, held = self._mirror.served.get(key.type), self._mirror.bodies.get(key)
        if resource is not None and held is not None:
            uid = msgspec.json.decode(held)["metadata"]["uid"]
            await self._applying.annotate(resource, key, uid, annotations)

    async def announce(self, key: ObjectKey, said: Announcement) -> None:
        resource, held = self._mirror.served.get(key.type), self._mirror.bodies.get(key)
        if resource is not None and held is not None:
            await record(self._api, self._manager, resource, key, held, said)

    async def create(self, key: ObjectKey, obj: Mapping[str, Any]) -> bool:
        return await self._applying.create(self._resource(key), key, obj)

    async def account_of(self, token: str) -> Account | None:
        return await reviewed(self._api, token)

    async def own(self, type_: str) -> list[bytes]:
        await self._mirror.known.wait()
        resource = self._mirror.served.get(type_)
        return [] if resource is None else await self._applying.own(resource)

    async def apply(self, key: ObjectKey, obj: Mapping[str, Any]) -> bytes:
        return await self._applying.apply(self._resource(key), key, obj, self._mirror.bodies.get(key))

    async def remove(self, key: ObjectKey) -> None:
        await self._applying.remove(self._resource(key), key)

    def _resource(self, key: ObjectKey) -> Resource:
        resource = self._mirror.served.get(key.type)
        if resource is None:
            raise NotWritten(Why.KIND_MISSING, f"{key} waits: this cluster serves no {key.type}; install its CRD")
        return resource

    # ---------------------------------------------------------------- running

    async def _identify(self) -> None:
        """The UID of namespace kube-system stands for the cluster (relay.md §4.3)."""
        pause = 0.2
        while not self._uid:
            try:
                self._uid = (await self._api.get(_KUBE_SYSTEM, stored))["metadata"]["uid"]
            except ApiFailed as error:
                reason = (
                    f"{error}; grant get on it: its uid stands for the cluster"
                    if error.status == _FORBIDDEN
                    else str(error)
                )
                log.warning("cluster.api.unreachable", cluster=self._name, reason=reason, retry_in=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._identify()
        async with self._mirror.running():
            yield


@asynccontextmanager
async def kubernetes_cluster(
    name: str,
    types: Collection[str],
    *,
    kubeconfig: Path | None = None,
    context: str = "",
    namespaces: Collection[str] = (),
    manager: str = "gloo-mesh-agent",
    marks: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[KubernetesCluster]:
    """Without a kubeconfig: as the pod's service account. Raises ClusterFailed without usable credentials."""
    async with connected(kubeconfig, context) as api:
        cluster = KubernetesCluster(name, api, types, namespaces, manager, marks)
        async with cluster.running():
            yield cluster
