"""Manifests of all kinds, each a valid one with one thing changed; always the same ones."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import yaml

from fingerpost.api.kinds import BY_TYPE
from fingerpost.crd.definition import definition, users_kinds
from fingerpost.objects import type_of

_ROOT = Path(__file__).parents[2]
_SEED = 70
_INTEGERS = (-1, 0, 1, 99, 600, 65535, 65536, 2**31, 2**32, 2**63)
_TEXTS = ("", "NONSENSE", "Prod_1", "x" * 300, "*.example.com", "10.0.0.1", "*", "HTTP", "SIMPLE", "1.5s", "10us")
_OTHERS: tuple[Any, ...] = (7, "seven", True, {}, [], [{}], ["a"], {"a": "b"})

Steps: TypeAlias = tuple[str | int, ...]


class Specimen(NamedTuple):
    name: str
    manifest: dict[str, Any]


def examples() -> list[dict[str, Any]]:
    """The objects of ours in `examples/` and in the specification, and some that use what those do not."""
    files = [
        *sorted((_ROOT / "examples").rglob("*.yaml")),
        *sorted((_ROOT / "tests/data/examples").glob("*.yaml")),
        Path(__file__).parent / "rich.yaml",
    ]
    documents = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    return [one for one in documents if "solo.io" in one["apiVersion"]]


def unmodelled() -> list[dict[str, Any]]:
    """One of each kind that this version does not implement."""
    return [
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": "x", "namespace": "shop"} if kind.namespaced else {"name": "x"},
            "spec": {"a": {"b": [1, "two", {"c": True}]}},
        }
        for kind in users_kinds()
        if kind.model is None
    ]


def corpus(of_each_kind: int, of_others: int = 10) -> list[Specimen]:
    """So many of all possible changes of every kind, chosen by lot; all of kinds that have fewer. Of kinds without a
    model only `of_others`: they have but the rules of all objects.
    """
    found: dict[str, Specimen] = {}
    for number, example in enumerate([*examples(), *unmodelled()]):
        base = f"{example['kind']} {example['metadata']['name']} #{number}"
        found[base] = Specimen(base, example)
        schema = _schema_of(example)
        for label, steps, value in (*_NAMES, *_changes(example.get("spec", {}), schema, ("spec",))):
            name = f"{example['kind']} {_written(steps)}: {label}"
            found.setdefault(name, Specimen(name, _changed(example, steps, value)))
    by_kind: dict[str, list[Specimen]] = {}
    for one in found.values():
        by_kind.setdefault(one.manifest["kind"], []).append(one)
    lot = random.Random(_SEED)
    bare = {kind.kind for kind in users_kinds() if kind.model is None}
    return [
        one
        for kind, group in by_kind.items()
        for one in lot.sample(group, min(of_others if kind in bare else of_each_kind, len(group)))
    ]


_NAMES: tuple[tuple[str, Steps, Any], ...] = (
    *(
        (f"becomes {name[:20]!r}", ("metadata", "name"), name)
        for name in ("", "Prod_1", "1a", "a.b", "-a", "a-", "x" * 64, "x" * 254)
    ),
    *(
        (f"becomes {value!r}", ("metadata", "labels"), value)
        for value in ({"a": "b"}, {"a": 1}, {"a": "b c"}, {"a b": "c"}, ["a"])
    ),
)


class _Gone:
    """In place of a value: the field is taken away."""


def _changes(value: Any, schema: dict[str, Any], steps: Steps) -> Iterator[tuple[str, Steps, Any]]:
    yield "gone", steps, _Gone
    for other in _OTHERS:
        if type(other) is not type(value) or (other != value and isinstance(other, dict | list)):
            yield f"becomes {other!r}", steps, other
    if isinstance(value, bool):
        yield "turned", steps, not value
    elif isinstance(value, int):
        yield from ((f"becomes {number}", steps, number) for number in _INTEGERS)
    elif isinstance(value, str):
        yield from ((f"becomes {text[:20]!r}", steps, text) for text in _TEXTS)
    elif isinstance(value, list):
        yield "its first entry twice", steps, [*value, *value[:1]]
        for index, item in enumerate(value):
            yield from _changes(item, schema.get("items", {}), (*steps, index))
    elif isinstance(value, dict):
        yield "an unknown field more", (*steps, "unheardOf"), {"a": 1}
        for name, item in value.items():
            yield from _changes(item, _below(schema, name), (*steps, name))
        for name, below in schema.get("properties", {}).items():
            if name not in value:
                yield from ((f"is there as {new!r}", (*steps, name), new) for new in _new(below))


def _below(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema.get("properties", {}).get(name) or schema.get("additionalProperties") or {}
    return found


def _new(schema: dict[str, Any]) -> list[Any]:
    """Values of the type for a field that is not there yet."""
    if "enum" in schema:
        return [*schema["enum"], "NONSENSE"]
    match schema.get("type"):
        case "string":
            return ["", "x", "10s"]
        case "integer":
            return [0, 1, 70000]
        case "boolean":
            return [True, False]
        case "array":
            return [[], [_filled(schema["items"])]]
    return [{}, _filled(schema)]


def _filled(schema: dict[str, Any]) -> Any:
    """Something of the type with every field of a message set that is a scalar."""
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        return {
            name: _filled(below) for name, below in schema["properties"].items() if below.get("type") not in ("object",)
        }
    return {"string": "x", "integer": 1, "boolean": True, "array": []}.get(schema.get("type", ""), {})


def _changed(example: dict[str, Any], steps: Steps, value: Any) -> dict[str, Any]:
    out = copy.deepcopy(example)
    place: Any = out
    for step in steps[:-1]:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    last: Any = steps[-1]
    if value is not _Gone:
        place[last] = value
    elif isinstance(place, list) or last in place:
        del place[last]
    return out


def _written(steps: Steps) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _schema_of(example: dict[str, Any]) -> dict[str, Any]:
    kind = BY_TYPE[type_of(example["apiVersion"], example["kind"])]
    schema: dict[str, Any] = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema
