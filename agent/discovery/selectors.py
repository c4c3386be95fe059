"""Istio's discovery selectors: what lies in a namespace that no mesh of this cluster looks at is left out of what goes
up (relay.md §2.1, M-7).

Who sets them narrows on purpose, so what they exclude is removed at once and by name. What cannot be told, because
Namespaces or the mesh configuration cannot be read, excludes nothing. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

import msgspec

from agent.discovery.kinds import NAMESPACE
from agent.discovery.selection import Name
from fingerpost.api.core.config_map import ConfigMap
from fingerpost.api.core.namespace import Namespace
from fingerpost.cluster.protocol import Batch, Change, Finding
from fingerpost.objects import ObjectKey

MESH_CONFIG = "core/ConfigMap"
_KEY = "mesh"  # of the ConfigMap's data


class _Requirement(msgspec.Struct, frozen=True):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        if self.operator in ("Exists", "DoesNotExist"):
            return (self.key in labels) == (self.operator == "Exists")
        return (labels.get(self.key) in self.values) == (self.operator == "In")


class Selector(msgspec.Struct, frozen=True, rename="camel"):
    """A LabelSelector of Kubernetes; an empty one selects everything."""

    match_labels: Mapping[str, str] = {}
    match_expressions: tuple[_Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return self.match_labels.items() <= labels.items() and all(r.holds(labels) for r in self.match_expressions)


class _Mesh(msgspec.Struct, frozen=True, rename="camel"):
    discovery_selectors: tuple[Selector, ...] = ()


_config_map = msgspec.json.Decoder(ConfigMap)
_namespace = msgspec.json.Decoder(Namespace)


class DiscoverySelectors:
    """`take` turns batches of the cluster into batches of what is discovered. `meshes` are (namespace, name) of the
    ConfigMaps that istiods read; a namespace is excluded when none of those that are there selects it.
    """

    def __init__(self, meshes: Collection[Name]) -> None:
        self._named = frozenset(meshes)
        self._meshes: dict[Name, tuple[Selector, ...]] = {}
        self._labels: dict[str, Mapping[str, str]] = {}
        self._told = False  # which Namespaces there are
        self._bodies: defaultdict[str, dict[ObjectKey, bytes]] = defaultdict(dict)
        self._excluded: frozenset[str] = frozenset()
        self._problems: dict[Name, Finding] = {}

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(self._problems[name] for name in sorted(self._problems))

    def take(self, batch: Batch) -> Batch:
        changes = list(batch.changes)
        if batch.listed:
            changes += self._absent(batch)
            self._told = NAMESPACE not in batch.unlisted
        anew, spaces = batch.listed, frozenset(self._bodies)
        for key, body in changes:
            anew |= self._keep(key, body)
        before = self._excluded
        if anew:
            self._excluded = frozenset(space for space in self._bodies if self._excludes(space))
        shown = [c for c in batch.changes if c.key.namespace not in self._excluded and c.key.type != MESH_CONFIG]
        left = [Change(key, None) for space in (self._excluded - before) & spaces for key in self._bodies[space]]
        back = [Change(*one) for space in before - self._excluded for one in self._bodies.get(space, {}).items()]
        known = {change.key for change in shown}
        shown += [change for change in (*left, *back) if change.key not in known]
        return batch._replace(changes=tuple(shown))

    def _absent(self, batch: Batch) -> list[Change]:
        there = {change.key for change in batch.changes}
        held = (key for keys in self._bodies.values() for key in keys)
        named = (ObjectKey(MESH_CONFIG, "", *name) for name in self._meshes)
        found = {(c.key.namespace, c.key.name) for c in batch.changes if c.key.type == MESH_CONFIG}
        gone = [key for key in held if key not in there]
        gone += [key for key in named if (key.namespace, key.name) not in found]
        return [Change(key, None) for key in gone if key.type not in batch.unlisted]

    def _keep(self, key: ObjectKey, body: bytes | None) -> bool:
        """True when other namespaces may be excluded now."""
        if key.type == NAMESPACE:
            return self._keep_namespace(key.name, body)
        if key.type == MESH_CONFIG:
            return (key.namespace, key.name) in self._named and self._keep_mesh((key.namespace, key.name), body)
        if not key.namespace:
            return False
        new = key.namespace not in self._bodies
        if body is not None:
            self._bodies[key.namespace][key] = body
        elif not new:
            self._bodies[key.namespace].pop(key, None)
            if not self._bodies[key.namespace]:
                del self._bodies[key.namespace]
        return new

    def _keep_namespace(self, name: str, body: bytes | None) -> bool:
        before = self._labels.pop(name, None)
        if body is not None:
            self._labels[name] = _namespace.decode(body).metadata.labels
        return before != self._labels.get(name)

    def _keep_mesh(self, name: Name, body: bytes | None) -> bool:
        before = self._meshes.get(name)
        self._problems.pop(name, None)
        if body is None:
            self._meshes.pop(name, None)
        else:
            try:
                self._meshes[name] = selectors_of(body)
            except msgspec.DecodeError as wrong:
                self._problems[name] = _unreadable(name, wrong)
        return before != self._meshes.get(name)

    def _excludes(self, space: str) -> bool:
        meshes = self._meshes.values()
        if not meshes or not all(meshes):
            return False
        labels = self._labels.get(space)
        if labels is None:
            return self._told  # new, and its Namespace has not been heard of yet
        return not any(selector.matches(labels) for selectors in meshes for selector in selectors)


def selectors_of(config_map: bytes) -> tuple[Selector, ...]:
    """None there: a mesh that looks at everything. Raises msgspec.DecodeError."""
    text = _config_map.decode(config_map).data.get(_KEY, "")
    return msgspec.yaml.decode(text, type=_Mesh).discovery_selectors if text.strip() else ()


def _unreadable(name: Name, wrong: msgspec.DecodeError) -> Finding:
    source = f"ConfigMap {name[1]} in namespace {name[0]}"
    message = (
        f"{source}: its {_KEY} cannot be read: {wrong}; the discovery selectors of before stay in force, correct it"
    )
    return Finding(source, "MeshConfigUnreadable", message)


def names(texts: Iterable[str]) -> tuple[Name, ...]:
    """`<namespace>/<name>` each."""
    split = (text.partition("/") for text in texts)
    return tuple((namespace, name) for namespace, _, name in split)
