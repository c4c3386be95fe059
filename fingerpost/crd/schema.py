"""From a model and its constraints to a structural schema (OpenAPI v3).

Fields that the model does not have are pruned by the API server, except below messages that are open.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import msgspec
from msgspec import inspect

from fingerpost.api.base import Duration
from fingerpost.crd.constraints import Constraint, Constraints, Limit, OneOf, Required, Rule

Schema = dict[str, Any]

_OPEN = "x-kubernetes-preserve-unknown-fields"
_RULES = "x-kubernetes-validations"
# What Duration.parse reads; how short one may be and how fine is left to the rules of the kind.
DURATION = r"^-?([0-9]+(\.[0-9]+)?(h|ms|us|ns|m|s))+$"
_LONGEST_DURATION = 64
# What has more digits is too long by itself, and what has no more cannot overflow `duration`: its error, unlike a
# broken rule, would keep the status of an object that was stored before there was the rule from being written.
_DIGITS = {"h": 5, "m": 7, "s": 9, "ms": 12, "us": 15, "ns": 18}
_FEW_DIGITS = "|".join(f"0*[0-9]{{1,{most}}}([.][0-9]+)?{unit}" for unit, most in _DIGITS.items())
_NOT_TOO_LONG = (
    f"self.matches('^-?({_FEW_DIGITS})+$') && duration(self) < duration('{Duration.LIMIT_HOURS}h')"
    f" && duration(self) > duration('-{Duration.LIMIT_HOURS}h')"
)


def open_object(**properties: Schema) -> Schema:
    """Any field is kept; those in `properties` must be of their type."""
    schema: Schema = {"type": "object", _OPEN: True}
    return schema | {"properties": properties} if properties else schema


def object_schema(model: type[msgspec.Struct], rules: Constraints) -> Schema:
    """Of a whole object; its status is nobody's input and stays open."""
    info = _struct(inspect.type_info(model))
    spec = next(field.type for field in info.fields if field.name == "spec")
    schema = whole_object(_schema(spec, rules))
    _constrain(schema, info, rules)
    return schema


def whole_object(spec: Schema) -> Schema:
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": spec,
        "status": open_object(),
    }
    return {"type": "object", "properties": properties}


def _struct(info: inspect.Type) -> inspect.StructType:
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"a model must be a Struct, not {info}")
    return info


def _schema(info: inspect.Type, rules: Constraints) -> Schema:
    if isinstance(info, inspect.UnionType):
        return _union([one for one in info.types if not isinstance(one, inspect.NoneType)], rules)
    if isinstance(info, inspect.StructType):
        return _message(info, rules)
    if isinstance(info, inspect.VarTupleType):
        return {"type": "array", "items": _schema(info.item_type, rules)}
    if isinstance(info, inspect.DictType):
        return {"type": "object", "additionalProperties": _schema(info.value_type, rules)}
    return _scalar(info)


def _union(types: list[inspect.Type], rules: Constraints) -> Schema:
    if len(types) == 1:
        return _schema(types[0], rules)
    return {"x-kubernetes-int-or-string": True, "enum": [value for one in types for value in _choices(one)]}


def _message(info: inspect.StructType, rules: Constraints) -> Schema:
    schema: Schema = {"type": "object"}
    if getattr(info.cls, "OPEN", False):
        schema[_OPEN] = True
    if info.fields:
        schema["properties"] = {field.encode_name: _schema(field.type, rules) for field in info.fields}
    _constrain(schema, info, rules)
    return schema


def _scalar(info: inspect.Type) -> Schema:
    if isinstance(info, inspect.StrType):
        return {"type": "string"}
    if isinstance(info, inspect.BoolType):
        return {"type": "boolean"}
    if isinstance(info, inspect.IntType):
        return {"type": "integer", "format": "int64", "minimum": info.ge, "maximum": info.le}
    if isinstance(info, inspect.CustomType) and info.cls is Duration:
        rules = [{"rule": _NOT_TOO_LONG, "message": Duration.TOO_LONG}]
        return {"type": "string", "pattern": DURATION, "maxLength": _LONGEST_DURATION, _RULES: rules}
    return {"type": "string", "enum": _choices(info)}


def _choices(info: inspect.Type) -> list[Any]:
    if isinstance(info, inspect.EnumType):
        return [one.value for one in info.cls]
    if isinstance(info, inspect.LiteralType):
        return list(info.values)
    raise TypeError(f"there is no schema for {info}")


def _constrain(schema: Schema, info: inspect.StructType, rules: Constraints) -> None:
    for constraint in rules.get(info.cls, ()):
        _add(schema, info, constraint)


def _add(schema: Schema, info: inspect.StructType, constraint: Constraint) -> None:
    match constraint:
        case Limit(at, keywords):
            _place(schema, at).update(keywords)
        case Required(fields, at):
            place = _place(schema, at)
            place["required"] = sorted({*place.get("required", ()), *fields})
        case OneOf(fields):
            for rule in _exclusions(info, fields):
                _add(schema, info, rule)
        case Rule(cel, message, at, about):
            written = {"rule": cel, "message": message}
            if about:
                written["fieldPath"] = f".{about}"
            _place(schema, at).setdefault(_RULES, []).append(written)


def _place(schema: Schema, at: str) -> Schema:
    if not at:
        return schema
    name = at.removesuffix("[]").removesuffix("{}")
    found: Schema = schema["properties"][name]
    if at.endswith("[]"):
        found = found["items"]
    elif at.endswith("{}"):
        found = found["additionalProperties"]
    return found


def _exclusions(info: inspect.StructType, names: tuple[str, ...]) -> Iterator[Rule]:
    """A rule per pair: cheap enough for the API server where one rule over all would not be."""
    types = {field.encode_name: field.type for field in info.fields}
    for one, other in combinations(names, 2):
        cel = f"!({_is_set(one, types[one])} && {_is_set(other, types[other])})"
        yield Rule(cel, f"{one} and {other} are set together, but they exclude each other; keep one of them")


def _is_set(name: str, info: inspect.Type) -> str:
    if isinstance(info, inspect.StrType):
        return f"has(self.{name}) && self.{name} != ''"
    return f"has(self.{name}) && self.{name}" if isinstance(info, inspect.BoolType) else f"has(self.{name})"
