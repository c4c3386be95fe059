"""KubernetesCluster: a cluster behind its API server (design D8).

The shell around the reflectors: it finds out which kinds are served, keeps the trimmed objects of those asked for, and
hands changes to watchers. A kind that cannot be listed, for want of rights or of its CRD, is unknown and never empty.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any, Never

import msgspec
import structlog

from fingerpost.cluster.feeds import Feed
from fingerpost.cluster.kubernetes import discovery
from fingerpost.cluster.kubernetes.accounts import reviewed
from fingerpost.cluster.kubernetes.api import Api, ApiFailed, connected
from fingerpost.cluster.kubernetes.applying import Applying
from fingerpost.cluster.kubernetes.discovery import Resource
from fingerpost.cluster.kubernetes.events import record
from fingerpost.cluster.kubernetes.kinds import Kinds
from fingerpost.cluster.kubernetes.reflector import Reflector, Scope, missing, refused
from fingerpost.cluster.kubernetes.statuses import Statuses
from fingerpost.cluster.protocol import Account, Announcement, Batch, Change, Finding, NotWritten, Outputs, Why
from fingerpost.objects import ObjectKey, canonical, trim

log = structlog.get_logger()
SECRET = "core/Secret"
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
        self._types, self._namespaces = tuple(types), tuple(namespaces) or ("",)
        self._applying = Applying(api, manager, marks)
        self._uid = ""
        self._bodies: dict[ObjectKey, bytes] = {}
        self._statuses = Statuses(api, manager)
        self._served: dict[str, Resource] = {}
        self._stale: frozenset[str] = frozenset()
        self._known = asyncio.Event()  # what is served has been found out once
        self._secrets: frozenset[tuple[str, str]] = frozenset()
        self._reflectors: dict[Scope, tuple[Reflector, asyncio.Task[Never]]] = {}
        self._keys: dict[Scope, set[ObjectKey]] = {}
        self._listed: set[Scope] = set()
        self._failed: dict[Scope, ApiFailed] = {}
        self._vanished: set[str] = set()
        self._trouble = ""  # of discovery
        self._feeds: list[Feed] = []
        self._tasks: asyncio.TaskGroup
        self._kinds = Kinds(api, self._serves, self._say_trouble)

    # ---------------------------------------------------------------- Cluster

    @property
    def name(self) -> str:
        return self._name

    @property
    def uid(self) -> str:
        return self._uid

    @property
    def findings(self) -> tuple[Finding, ...]:
        found = [_finding(scope, error) for scope, error in sorted(self._failed.items(), key=lambda f: str(f[0]))]
        found += [_vanished(type_) for type_ in sorted(self._vanished)]
        if self._trouble:
            found.append(Finding(self._api.where, "NotDiscovered", self._trouble))
        return tuple(found)

    @property
    def unlisted(self) -> frozenset[str]:
        """Types that were asked for and of which nothing can be said now."""
        out = {scope.resource.type for scope in self._reflectors if scope not in self._listed and not scope.name}
        return frozenset(out | self._vanished)

    async def watch(self, types: Collection[str] | None = None) -> AsyncIterator[Batch]:
        feed = Feed(types)
        feed.list(self._bodies, self.findings, 0, listed=self._listable, unlisted=self.unlisted)
        self._feeds.append(feed)
        try:
            while True:
                yield await feed.next()
        finally:
            self._feeds.remove(feed)

    async def relist(self) -> None:
        able = [reflector for scope, (reflector, _) in self._reflectors.items() if scope not in self._failed]
        await asyncio.gather(*(reflector.relist() for reflector in able))
        self._tell_all()

    async def write_status(self, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        """Raises ClusterFailed; nothing happens when the object is gone or bears this status already."""
        resource = self._served.get(key.type)
        if resource is None or not resource.status:
            return False
        return await self._statuses.write(resource, key, status)

    def status(self, key: ObjectKey) -> Any:
        """As last seen or written; None when there is none."""
        return self._statuses.read(key)

    def hear_statuses(self, heard: Callable[[ObjectKey], None]) -> None:
        self._statuses.hear(heard)

    async def read_secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        body = self._bodies.get(ObjectKey(SECRET, self._name, namespace, name))
        if body is None:
            return None
        return {key: base64.b64decode(text) for key, text in (msgspec.json.decode(body).get("data") or {}).items()}

    def want_secrets(self, names: Collection[tuple[str, str]]) -> None:
        """Secrets are read by name only, so that no right to list them is needed; (namespace, name)."""
        if frozenset(names) != self._secrets:
            self._secrets = frozenset(names)
            self._reflect()

    async def release(self) -> int:
        """A person says that kinds which are served no longer are gone for good."""
        gone = [key for key in self._bodies if key.type in self._vanished]
        self._vanished.clear()
        self._change([Change(key, None) for key in gone])
        self._tell_all()
        return len(gone)

    @property
    def outputs(self) -> Outputs:
        return self

    @property
    def marks(self) -> Mapping[str, str]:
        return self._applying.marks

    def held(self, key: ObjectKey) -> bytes | None:
        return self._bodies.get(key)

    async def annotate(self, key: ObjectKey, annotations: Mapping[str, str]) -> None:
        resource, held = self._served.get(key.type), self._bodies.get(key)
        if resource is not None and held is not None:
            uid = msgspec.json.decode(held)["metadata"]["uid"]
            await self._applying.annotate(resource, key, uid, annotations)

    async def announce(self, key: ObjectKey, said: Announcement) -> None:
        resource, held = self._served.get(key.type), self._bodies.get(key)
        if resource is not None and held is not None:
            await record(self._api, self._manager, resource, key, held, said)

    async def account_of(self, token: str) -> Account | None:
        return await reviewed(self._api, token)

    async def own(self, type_: str) -> list[bytes]:
        await self._known.wait()
        resource = self._served.get(type_)
        return [] if resource is None else await self._applying.own(resource)

    async def apply(self, key: ObjectKey, obj: Mapping[str, Any]) -> bytes:
        return await self._applying.apply(self._resource(key), key, obj)

    async def remove(self, key: ObjectKey) -> None:
        await self._applying.remove(self._resource(key), key)

    def _resource(self, key: ObjectKey) -> Resource:
        resource = self._served.get(key.type)
        if resource is None:
            raise NotWritten(Why.KIND_MISSING, f"{key} waits: this cluster serves no {key.type}; install its CRD")
        return resource

    # ---------------------------------------------------------------- reflector.Sink

    def listed(self, scope: Scope, objects: Iterable[dict[str, Any]]) -> None:
        before, now = self._keys.get(scope, set()), set()
        changes: list[Change] = []
        for obj in objects:
            change = self._take(scope, obj)
            now.add(change.key)
            changes.append(change)
        self._keys[scope] = now
        changes += [Change(key, None) for key in before - now]
        ready = scope in self._listed
        self._listed.add(scope)
        self._change(changes)
        if not ready and self._listable:
            self._tell_all()

    def changed(self, scope: Scope, obj: dict[str, Any], *, gone: bool) -> None:
        change = self._take(scope, obj)
        if gone:
            change = Change(change.key, None)
            self._keys[scope].discard(change.key)
        else:
            self._keys[scope].add(change.key)
        self._change([change])

    def failed(self, scope: Scope, error: ApiFailed) -> None:
        known = self._failed.get(scope)
        self._failed[scope] = error
        if missing(error):
            self._kinds.look()
        if known is None or str(known) != str(error):
            self._change([])
            if self._listable:
                self._tell_all()

    def recovered(self, scope: Scope) -> None:
        if self._failed.pop(scope, None) is not None:
            self._tell_all()

    # ---------------------------------------------------------------- state

    @property
    def _listable(self) -> bool:
        """All that can be listed has been: what is refused or not served is named in `unlisted`."""
        settled = all(
            scope in self._listed or (scope in self._failed and _is_lasting(self._failed[scope]))
            for scope in self._reflectors
            if not scope.name
        )
        return self._known.is_set() and settled

    def _take(self, scope: Scope, obj: dict[str, Any]) -> Change:
        """Items of a list do not say what they are."""
        resource = scope.resource
        full = {"apiVersion": resource.api_version, "kind": resource.type.rpartition("/")[2], **obj}
        metadata = full["metadata"]
        key = ObjectKey(resource.type, self._name, metadata.get("namespace", ""), metadata["name"])
        body = canonical(trim(resource.type, full))
        if resource.status and resource.type.partition("/")[0].endswith(".solo.io"):
            self._statuses.saw(key, full, edited=self._bodies.get(key) != body)
        return Change(key, body)

    def _change(self, changes: Sequence[Change]) -> None:
        real: list[Change] = []
        for key, body in changes:
            if self._bodies.get(key) == body:
                continue
            if body is None:
                del self._bodies[key]
                self._statuses.forget(key)
            else:
                self._bodies[key] = body
            real.append(Change(key, body))
        findings, seen = self.findings, time.time_ns()
        for feed in self._feeds:
            feed.change(real, findings, seen)

    def _tell_all(self) -> None:
        for feed in self._feeds:
            feed.list(self._bodies, self.findings, 0, listed=self._listable, unlisted=self.unlisted)

    # ---------------------------------------------------------------- discovery

    def _say_trouble(self, text: str) -> None:
        if text != self._trouble:
            self._trouble = text
            self._change([])

    def _serves(self, served: discovery.Served) -> None:
        kept = {t: r for t, r in self._served.items() if t.partition("/")[0] in served.stale}
        self._served, self._stale = {**kept, **served.resources}, served.stale
        self._known.set()
        self._reflect()

    def _reflect(self) -> None:
        """One reflector per resource and namespace asked for; what is no longer served keeps its objects."""
        wanted = {scope: None for type_, resource in self._served.items() for scope in self._scopes(type_, resource)}
        for scope in [s for s in self._reflectors if s not in wanted]:
            self._end(scope)
        for scope in wanted:
            if scope not in self._reflectors:
                self._begin(scope)
        held = {key.type for key in self._bodies}
        self._vanished = {t for t in held | self._vanished if t not in self._served and self._wants(t)}
        if self._listable:
            self._tell_all()

    def _scopes(self, type_: str, resource: Resource) -> list[Scope]:
        if type_ == SECRET:
            return [Scope(resource, namespace, name) for namespace, name in sorted(self._secrets)]
        if not self._wants(type_):
            return []
        return [Scope(resource, namespace) for namespace in (self._namespaces if resource.namespaced else ("",))]

    def _wants(self, type_: str) -> bool:
        return any(fnmatchcase(type_, pattern) for pattern in self._types)

    def _begin(self, scope: Scope) -> None:
        reflector = Reflector(self._api, scope, self)
        self._vanished.discard(scope.resource.type)
        if scope.name == "":
            # objects of before the kind went: the new listing says which of them are there
            self._keys[scope] = {
                key
                for key in self._bodies
                if key.type == scope.resource.type and scope.namespace in ("", key.namespace)
            }
        task = self._tasks.create_task(reflector.run(), name=f"cluster.{self._name}.{scope.resource.plural}")
        self._reflectors[scope] = (reflector, task)

    def _end(self, scope: Scope) -> None:
        _, task = self._reflectors.pop(scope)
        task.cancel()
        self._listed.discard(scope)
        self._failed.pop(scope, None)
        keys = self._keys.pop(scope, set())
        if scope.name:
            self._change([Change(key, None) for key in keys])

    # ---------------------------------------------------------------- running

    async def _identify(self) -> None:
        """The UID of namespace kube-system stands for the cluster (relay.md §4.3)."""
        pause = 0.2
        while not self._uid:
            try:
                found = msgspec.json.decode(await self._api.get(_KUBE_SYSTEM))
                self._uid = found["metadata"]["uid"]
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
        async with AsyncExitStack() as stack:
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            discovering = self._tasks.create_task(self._kinds.run(), name=f"cluster.{self._name}.discovery")

            def stop() -> None:
                discovering.cancel()
                for _, task in self._reflectors.values():
                    task.cancel()

            stack.callback(stop)
            yield


def _is_lasting(error: ApiFailed) -> bool:
    """Waiting does not help: rights are missing, or the kind."""
    return refused(error) or missing(error)


def _finding(scope: Scope, error: ApiFailed) -> Finding:
    if refused(error):
        remedy = "; grant get, list and watch" if error.status == _FORBIDDEN else ""
        said = f"{scope} cannot be read: {error}{remedy}. What is known of them stays in force"
        return Finding(str(scope), "NotAllowed", said)
    return Finding(str(scope), "NotRead", f"{scope} cannot be read now: {error}; it is tried again")


def _vanished(type_: str) -> Finding:
    return Finding(
        type_,
        "KindVanished",
        f"the API server serves {type_} no longer; its objects stay in force until the CRD is back, "
        "or until `fingerpost release`",
    )


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
