"""All inputs in memory, by type, cluster and name, with a digest per cluster and type.

It neither stores nor translates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from fingerpost.objects import ObjectKey
from fingerpost.relay.digest import SetDigest, object_key
from mgmt.store.values import Stored

Name = tuple[str, str]
_NOTHING: Mapping[str, SetDigest] = MappingProxyType({})
_EMPTY: Mapping[Name, Stored] = MappingProxyType({})


class Inputs:
    """{type: {cluster: {(namespace, name): Stored}}}. Empty sets do not stay."""

    __slots__ = ("_digests", "_types")

    def __init__(self) -> None:
        self._types: dict[str, dict[str, dict[Name, Stored]]] = {}
        self._digests: dict[str, dict[str, SetDigest]] = {}

    def get(self, key: ObjectKey) -> Stored | None:
        return self.of(key.cluster, key.type).get((key.namespace, key.name))

    def of(self, cluster: str, type_: str) -> Mapping[Name, Stored]:
        clusters = self._types.get(type_)
        return clusters.get(cluster, _EMPTY) if clusters else _EMPTY

    def clusters_of(self, type_: str) -> Mapping[str, Mapping[Name, Stored]]:
        return self._types.get(type_, {})

    def digests(self, cluster: str) -> Mapping[str, SetDigest]:
        return self._digests.get(cluster, _NOTHING)

    def types(self, cluster: str) -> tuple[str, ...]:
        return tuple(self._digests.get(cluster, ()))

    def items(self) -> Iterator[tuple[ObjectKey, Stored]]:
        for type_, clusters in self._types.items():
            for cluster, objects in clusters.items():
                for (namespace, name), stored in objects.items():
                    yield ObjectKey(type_, cluster, namespace, name), stored

    def items_of(self, cluster: str) -> Iterator[tuple[ObjectKey, Stored]]:
        for type_ in self.types(cluster):
            for (namespace, name), stored in self.of(cluster, type_).items():
                yield ObjectKey(type_, cluster, namespace, name), stored

    def put(self, key: ObjectKey, stored: Stored | None) -> bool:
        """Whether anything is different now."""
        type_, cluster, namespace, name = key
        objects = self._types.setdefault(type_, {}).setdefault(cluster, {})
        old = objects.get((namespace, name))
        if (old.hash if old else None) == (stored.hash if stored else None):
            self._tidy(type_, cluster)
            return False
        digest = self._digests.setdefault(cluster, {}).setdefault(type_, SetDigest())
        text = object_key(namespace, name)
        if old is not None:
            digest.discard(text, old.hash)
        if stored is None:
            del objects[namespace, name]
            self._tidy(type_, cluster)
        else:
            digest.add(text, stored.hash)
            objects[namespace, name] = stored
        return True

    def _tidy(self, type_: str, cluster: str) -> None:
        clusters = self._types[type_]
        if not clusters[cluster]:
            del clusters[cluster]
            if not clusters:
                del self._types[type_]
            digests = self._digests.get(cluster)
            if digests is not None:
                digests.pop(type_, None)
                if not digests:
                    del self._digests[cluster]
