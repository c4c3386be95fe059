"""What an API server serves: which resource, in which version, stands for a type. Pure.

Read from the aggregated discovery documents, where an API service that does not answer is marked stale: what it serves
is then unknown, which is not the same as nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from fingerpost.objects import type_of

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
PATHS = ("/api", "/apis")


class Resource(NamedTuple):
    """`path` is `/api/v1` or `/apis/GROUP/VERSION`."""

    type: str
    path: str
    plural: str
    namespaced: bool
    status: bool

    def where(self, namespace: str = "", name: str = "") -> str:
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.path}{scope}/{self.plural}" + (f"/{name}" if name else "")

    @property
    def api_version(self) -> str:
        return self.path.removeprefix("/apis/").removeprefix("/api/")


class Served(NamedTuple):
    """`stale`: groups whose API service does not answer now."""

    resources: Mapping[str, Resource]
    stale: frozenset[str]


class _Meta(msgspec.Struct, frozen=True):
    name: str = ""


class _Sub(msgspec.Struct, frozen=True):
    subresource: str = ""


class _ResponseKind(msgspec.Struct, frozen=True):
    kind: str = ""


class _Resource(msgspec.Struct, frozen=True, rename="camel"):
    resource: str
    scope: str = ""
    response_kind: _ResponseKind = _ResponseKind()
    verbs: tuple[str, ...] = ()
    subresources: tuple[_Sub, ...] = ()


class _Version(msgspec.Struct, frozen=True):
    version: str
    resources: tuple[_Resource, ...] = ()
    freshness: str = "Current"


class _Group(msgspec.Struct, frozen=True):
    metadata: _Meta = _Meta()
    versions: tuple[_Version, ...] = ()


class Groups(msgspec.Struct, frozen=True):
    items: tuple[_Group, ...]  # without them nothing is known, which is not the same as nothing


groups = msgspec.json.Decoder(Groups).decode


def served(documents: Iterable[Groups]) -> Served:
    """Of several versions the one that the server prefers; only what can be listed and watched."""
    resources: dict[str, Resource] = {}
    stale: set[str] = set()
    for document in documents:
        for group in document.items:
            name = group.metadata.name
            for version in group.versions:
                if version.freshness != "Current":
                    stale.add(name or "core")
                path = f"/apis/{name}/{version.version}" if name else f"/api/{version.version}"
                for found in version.resources:
                    one = _resource(path, found)
                    if one is not None:
                        resources.setdefault(one.type, one)
    return Served(resources, frozenset(stale))


def _resource(path: str, found: _Resource) -> Resource | None:
    if not {"list", "watch"} <= set(found.verbs):
        return None
    api_version = path.removeprefix("/apis/").removeprefix("/api/")
    return Resource(
        type_of(api_version, found.response_kind.kind),
        path,
        found.resource,
        found.scope == "Namespaced",
        any(sub.subresource == "status" for sub in found.subresources),
    )
