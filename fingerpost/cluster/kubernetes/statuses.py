"""The statuses of users' objects at an API server: as they are there, and written only where they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from fingerpost.cluster.kubernetes.answers import stored
from fingerpost.cluster.kubernetes.api import APPLY, Api, ApiFailed
from fingerpost.cluster.kubernetes.discovery import Resource
from fingerpost.cluster.kubernetes.reflector import missing
from fingerpost.objects import ObjectKey, canonical

_CONFLICT = 409


class _Seen(NamedTuple):
    """Of an object: the version of all of it, and the generation of its spec."""

    version: str
    generation: int


class Statuses:
    """`heard` is called with each object that is new or changed, or whose status is not the one written here."""

    def __init__(self, api: Api, manager: str) -> None:
        self._api, self._manager = api, manager
        self._there: dict[ObjectKey, bytes] = {}
        self._seen: dict[ObjectKey, _Seen] = {}
        self._stale: set[ObjectKey] = set()  # somebody was faster: the next event says what is there now
        self._kept: dict[ObjectKey, tuple[bytes, bytes]] = {}  # what was written, and what the API server made of it
        self._heard: Callable[[ObjectKey], None] = lambda _: None

    def hear(self, heard: Callable[[ObjectKey], None]) -> None:
        self._heard = heard

    def saw(self, key: ObjectKey, obj: Mapping[str, Any], *, edited: bool) -> None:
        """`obj` as the API server gave it; `edited`: it is new or another one than before."""
        metadata, status = obj["metadata"], obj.get("status")
        self._seen[key] = _Seen(metadata.get("resourceVersion", ""), metadata.get("generation", 0))
        body = canonical(status) if status else None
        known = self._there.get(key)
        if body is not None:
            self._there[key] = body
        else:
            self._there.pop(key, None)
        if edited or body != known or key in self._stale:
            self._stale.discard(key)
            self._heard(key)

    def forget(self, key: ObjectKey) -> None:
        self._there.pop(key, None)
        self._kept.pop(key, None)
        self._seen.pop(key, None)
        self._stale.discard(key)

    def read(self, key: ObjectKey) -> Any:
        body = self._there.get(key)
        return None if body is None else msgspec.json.decode(body)

    async def write(self, resource: Resource, key: ObjectKey, status: Mapping[str, Any]) -> bool:
        """True when it was written. Raises ApiFailed.

        Only to the version last seen, and not of a later generation than that: else an object that has replaced one of
        the same name could bear the status of the former (M-57).
        """
        wanted, there, seen = canonical(status), self._there.get(key), self._seen.get(key)
        if seen is None or there == wanted or (there is not None and self._kept.get(key) == (wanted, there)):
            return False
        if seen.generation and _observed(status) > seen.generation:
            return False
        named = {"name": key.name, "resourceVersion": seen.version}
        if key.namespace:
            named["namespace"] = key.namespace
        given = {"apiVersion": resource.api_version, "kind": key.kind, "metadata": named, "status": status}
        query = {"fieldManager": self._manager, "force": "true"}
        try:
            path = resource.where(key.namespace, key.name) + "/status"
            found = await self._api.patch(path, given, APPLY, stored, query)
        except ApiFailed as error:
            if error.status == _CONFLICT:
                self._overtaken(key, seen)
            elif not missing(error):
                raise
            return False
        made = canonical(found.get("status") or {})
        self._kept[key] = (wanted, made)
        if self._seen.get(key) == seen:  # else the watch was faster than this answer, and may know what came after it
            self._there[key] = made
            self._seen[key] = seen._replace(version=found["metadata"]["resourceVersion"])
        return True

    def _overtaken(self, key: ObjectKey, seen: _Seen) -> None:
        if self._seen.get(key) == seen:
            self._stale.add(key)
        else:
            self._heard(key)


def _observed(status: Mapping[str, Any]) -> int:
    common = status.get("common")
    state = common.get("State") if isinstance(common, Mapping) else None
    found = state.get("observedGeneration") if isinstance(state, Mapping) else None
    return found if isinstance(found, int) else 0
