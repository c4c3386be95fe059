"""What a message demands beyond its types, said so that it can be written into a schema.

A place is "" for the message itself, "hosts" for a field, "hosts[]" for the items of a list, "labels{}" for the values
of a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec


class Rule(NamedTuple):
    """A rule in CEL. `about` names the field, seen from `at`, that the message is about."""

    cel: str
    message: str
    at: str = ""
    about: str = ""


class Limit(NamedTuple):
    """Keywords of OpenAPI."""

    at: str
    keywords: Mapping[str, Any]


class Required(NamedTuple):
    fields: tuple[str, ...]
    at: str = ""


class OneOf(NamedTuple):
    """At most one of the fields may be set; an empty string and false count as not set."""

    fields: tuple[str, ...]


Constraint: TypeAlias = Rule | Limit | Required | OneOf
Constraints: TypeAlias = Mapping[type[msgspec.Struct], tuple[Constraint, ...]]


def limit(at: str, **keywords: Any) -> Limit:
    return Limit(at, keywords)


def required(*fields: str, at: str = "") -> Required:
    return Required(fields, at)


def one_of(*fields: str) -> OneOf:
    return OneOf(fields)
