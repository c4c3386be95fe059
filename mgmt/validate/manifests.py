"""From sources to objects, each with the place where it is written, and to what is wrong with the files themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from yaml.nodes import Node

from fingerpost.cluster.directory.documents import NotYaml, documents
from fingerpost.cluster.directory.manifest import ManifestObject, read_object
from fingerpost.objects import ObjectKey
from mgmt.validate.positions import compose, items_of, line_of
from mgmt.validate.report import Finding, Level, label
from mgmt.validate.sources import Source

_NO_NAME = re.compile(r"[^a-z0-9.-]")


class Written(NamedTuple):
    """An object as it was written. `called`: with its own name, which no object can have."""

    body: bytes
    file: str
    node: Node
    called: str = ""

    def line(self, path: str) -> int:
        return line_of(self.node, path)


class Manifests(NamedTuple):
    """`checked` counts what was there, also what could not be used."""

    objects: Mapping[ObjectKey, Written]
    findings: tuple[Finding, ...]
    checked: int


def read_manifests(sources: Iterable[Source]) -> Manifests:
    objects: dict[ObjectKey, Written] = {}
    findings: list[Finding] = []
    checked = 0
    for source in sources:
        if source.data is None:
            findings.append(Finding(file=source.name, level=Level.ERROR, code="Unreadable", message=source.error))
            continue
        try:
            values = [item for document in documents(source.data) for item in _items(document.value)]
        except NotYaml as error:
            findings.append(
                Finding(file=source.name, line=error.line, level=Level.ERROR, code="NotYaml", message=error.reason)
            )
            continue
        # A document whose value is null is left out by both, so that values and nodes stay in step.
        nodes = [item for node in compose(source.data) if not _is_null(node) for item in items_of(node)]
        for value, node in zip(values, nodes, strict=True):
            checked += 1
            if problem := _take(source, value, node, objects):
                findings.append(problem)
    return Manifests(objects, tuple(findings), checked)


def _take(source: Source, value: Any, node: Node, objects: dict[ObjectKey, Written]) -> Finding | None:
    found = read_object(value, source.cluster)
    if not isinstance(found, ManifestObject):
        code, message = found
        called = _called(value)
        sound = read_object(_soundly_named(value), source.cluster) if called else None
        if isinstance(sound, ManifestObject) and sound.key not in objects:
            objects[sound.key] = Written(sound.content, source.name, node, called)
        line = line_of(node, message.partition(" ")[0] if called else "")
        return Finding(file=source.name, line=line, object=called, level=Level.ERROR, code=code, message=message)
    first = objects.get(found.key)
    if first is not None:
        message = f"is also in {first.file}, line {first.line('')}; the first stays in force, remove one of them"
        return Finding(
            file=source.name,
            line=line_of(node, ""),
            object=label(found.key),
            level=Level.ERROR,
            code="DuplicateObject",
            message=message,
        )
    objects[found.key] = Written(found.content, source.name, node)
    return None


def _called(value: Any) -> str:
    """Kind and name as they are written; empty where there are none."""
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict) or not isinstance(value.get("kind"), str):
        return ""
    name, namespace = metadata.get("name"), metadata.get("namespace")
    return f"{value['kind']} {f'{namespace}/' if namespace else ''}{name}" if name else str(value["kind"])


def _soundly_named(value: dict[str, Any]) -> dict[str, Any]:
    """With a name that an object can have, so that the rest of it can be looked at too."""
    name = _NO_NAME.sub("-", str(value["metadata"].get("name") or "").lower()).strip("-.") or "unnamed"
    return {**value, "metadata": {**value["metadata"], "name": name}}


def _items(value: Any) -> list[Any]:
    """A `List` stands for its items."""
    if not (isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list)):
        return [value]
    return [found for item in value["items"] for found in _items(item)]


def _is_null(node: Node) -> bool:
    return str(node.tag) == "tag:yaml.org,2002:null"
