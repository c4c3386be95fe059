"""What is read of an API server: it finds out which kinds are served, keeps the trimmed objects of those asked for, and
hands changes to watchers. A kind that cannot be listed, for want of rights or of its CRD, is unknown and never empty.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from fnmatch import fnmatchcase
from typing import Any, Never

from fingerpost.cluster.feeds import Feed
from fingerpost.cluster.kubernetes import discovery
from fingerpost.cluster.kubernetes.api import Api, ApiFailed
from fingerpost.cluster.kubernetes.discovery import Resource
from fingerpost.cluster.kubernetes.findings import finding, vanished
from fingerpost.cluster.kubernetes.kinds import Kinds
from fingerpost.cluster.kubernetes.reflector import Reflector, Scope, missing, refused
from fingerpost.cluster.kubernetes.statuses import Statuses
from fingerpost.cluster.protocol import Batch, Change, Finding
from fingerpost.objects import ObjectKey, canonical, trim

SECRET = "core/Secret"
_BY_NAME = (SECRET, "core/ConfigMap")  # so that no right to list all of them is needed


class Mirror:
    """The shell around the reflectors. `types` may hold patterns such as `*.gloo.solo.io/*`; no `namespaces`: all.

    `bodies` are the objects as last seen, `served` the kinds, of which nothing is said before `known`.
    """

    def __init__(
        self, name: str, api: Api, types: Collection[str], namespaces: Collection[str], statuses: Statuses
    ) -> None:
        self._name, self._api, self._statuses = name, api, statuses
        self._types, self._namespaces = tuple(types), tuple(namespaces) or ("",)
        self.bodies: dict[ObjectKey, bytes] = {}
        self.served: dict[str, Resource] = {}
        self.known = asyncio.Event()  # what is served has been found out once
        self._wanted: dict[str, frozenset[tuple[str, str]]] = {}
        self._reflectors: dict[Scope, tuple[Reflector[Change], asyncio.Task[Never]]] = {}
        self._keys: dict[Scope, set[ObjectKey]] = {}
        self._listed: set[Scope] = set()
        self._failed: dict[Scope, ApiFailed] = {}
        self._vanished: set[str] = set()
        self._trouble = ""  # of discovery
        self._feeds: list[Feed] = []
        self._tasks: asyncio.TaskGroup
        self._kinds = Kinds(api, self._serves, self._say_trouble)

    @property
    def findings(self) -> tuple[Finding, ...]:
        found = [finding(scope, error) for scope, error in sorted(self._failed.items(), key=lambda f: str(f[0]))]
        found += [vanished(type_) for type_ in sorted(self._vanished)]
        if self._trouble:
            found.append(Finding(self._api.where, "NotDiscovered", self._trouble))
        return tuple(found)

    @property
    def unlisted(self) -> frozenset[str]:
        """Types that were asked for and of which nothing can be said now."""
        out = {scope.resource.type for scope in self._reflectors if scope not in self._listed and _is_awaited(scope)}
        return frozenset(out | self._vanished)

    async def watch(self, types: Collection[str] | None = None) -> AsyncIterator[Batch]:
        feed = Feed(types)
        feed.list(self.bodies, self.findings, 0, listed=self._listable, unlisted=self.unlisted)
        self._feeds.append(feed)
        try:
            while True:
                yield await feed.next()
        finally:
            self._feeds.remove(feed)

    async def relist(self) -> frozenset[str]:
        asked: set[Reflector[Change]] = set()
        while able := {r for scope, (r, _) in self._reflectors.items() if scope not in self._failed} - asked:
            asked |= able
            await asyncio.gather(*(reflector.relist() for reflector in able))
            # one that has ended meanwhile may have a successor, which reads another version of the kind
        self._tell_all()
        return frozenset(scope.resource.type for scope in self._failed if scope in self._listed)

    def want(self, type_: str, names: Collection[tuple[str, str]]) -> None:
        """(namespace, name) of what is read by name only."""
        if frozenset(names) != self._wanted.get(type_, frozenset()):
            self._wanted[type_] = frozenset(names)
            self._reflect()

    def unread(self, type_: str) -> frozenset[tuple[str, str]]:
        """Of these, what was not looked for yet, and may still be."""
        resource, wanted = self.served.get(type_), self._wanted.get(type_, frozenset())
        return frozenset(n for n in wanted if resource is None or not self._is_settled(Scope(resource, *n)))

    def release(self) -> int:
        """A person says that kinds which are served no longer are gone for good."""
        gone = [key for key in self.bodies if key.type in self._vanished]
        self._vanished.clear()
        self._change([Change(key, None) for key in gone])
        self._tell_all()
        return len(gone)

    # ---------------------------------------------------------------- reflector.Sink

    def read(self, scope: Scope, obj: dict[str, Any]) -> Change:
        """Items of a list do not say what they are."""
        resource = scope.resource
        full = {"apiVersion": resource.api_version, "kind": resource.type.rpartition("/")[2], **obj}
        metadata = full["metadata"]
        key = ObjectKey(resource.type, self._name, metadata.get("namespace", ""), metadata["name"])
        body = canonical(trim(resource.type, full))
        if resource.status and resource.type.partition("/")[0].endswith(".solo.io"):
            self._statuses.saw(key, full, edited=self.bodies.get(key) != body)
        return Change(key, body)

    def listed(self, scope: Scope, objects: Sequence[Change]) -> None:
        before, now = self._keys.get(scope, set()), {change.key for change in objects}
        self._keys[scope] = now
        changes = [*objects, *(Change(key, None) for key in before - now)]
        ready = scope in self._listed
        self._listed.add(scope)
        self._change(changes)
        if not ready and not _is_awaited(scope):
            for feed in self._feeds:
                feed.tell()
        elif not ready and self._listable:
            self._tell_all()

    def changed(self, scope: Scope, obj: dict[str, Any], *, gone: bool) -> None:
        change = self.read(scope, obj)
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
        return self.known.is_set() and all(self._is_settled(s) for s in self._reflectors if _is_awaited(s))

    def _is_settled(self, scope: Scope) -> bool:
        return scope in self._listed or (scope in self._failed and _is_lasting(self._failed[scope]))

    def _change(self, changes: Sequence[Change]) -> None:
        real: list[Change] = []
        for key, body in changes:
            if self.bodies.get(key) == body:
                continue
            if body is None:
                del self.bodies[key]
                self._statuses.forget(key)
            else:
                self.bodies[key] = body
            real.append(Change(key, body))
        findings, seen = self.findings, time.time_ns()
        for feed in self._feeds:
            feed.change(real, findings, seen)

    def _tell_all(self) -> None:
        for feed in self._feeds:
            feed.list(self.bodies, self.findings, 0, listed=self._listable, unlisted=self.unlisted)

    # ---------------------------------------------------------------- discovery

    def _say_trouble(self, text: str) -> None:
        if text != self._trouble:
            self._trouble = text
            self._change([])

    def _serves(self, served: discovery.Served) -> None:
        kept = {t: r for t, r in self.served.items() if t.partition("/")[0] in served.stale}
        self.served = {**kept, **served.resources}
        self.known.set()
        self._reflect()

    def _reflect(self) -> None:
        """One reflector per resource and namespace asked for; what is no longer served keeps its objects."""
        wanted = {scope: None for type_, resource in self.served.items() for scope in self._scopes(type_, resource)}
        for scope in [s for s in self._reflectors if s not in wanted]:
            self._end(scope)
        for scope in wanted:
            if scope not in self._reflectors:
                self._begin(scope)
        held = {key.type for key in self.bodies}
        self._vanished = {t for t in held | self._vanished if t not in self.served and self._wants(t)}
        if self._listable:
            self._tell_all()

    def _scopes(self, type_: str, resource: Resource) -> list[Scope]:
        if type_ in _BY_NAME:
            return [Scope(resource, namespace, name) for namespace, name in sorted(self._wanted.get(type_, ()))]
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
                key for key in self.bodies if key.type == scope.resource.type and scope.namespace in ("", key.namespace)
            }
        task = self._tasks.create_task(reflector.run(), name=f"cluster.{self._name}.{scope.resource.plural}")
        self._reflectors[scope] = (reflector, task)

    def _end(self, scope: Scope) -> None:
        reflector, task = self._reflectors.pop(scope)
        reflector.end()
        task.cancel()
        self._listed.discard(scope)
        self._failed.pop(scope, None)
        keys = self._keys.pop(scope, set())
        if scope.name:
            self._change([Change(key, None) for key in keys])

    # ---------------------------------------------------------------- running

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            discovering = self._tasks.create_task(self._kinds.run(), name=f"cluster.{self._name}.discovery")

            def stop() -> None:
                discovering.cancel()
                for _, task in self._reflectors.values():
                    task.cancel()

            stack.callback(stop)
            yield


def _is_awaited(scope: Scope) -> bool:
    """Part of a complete listing; which Secrets are needed is told later, and changes."""
    return scope.resource.type != SECRET


def _is_lasting(error: ApiFailed) -> bool:
    """Waiting does not help: rights are missing, or the kind."""
    return refused(error) or missing(error)
