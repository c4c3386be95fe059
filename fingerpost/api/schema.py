"""What the models say about the raw JSON of an object: which fields exist, and what exactly is wrong with a value.

The decoder answers "right or wrong" in C; this module is asked for unknown fields (a cheap walk over a tree made once
per type) and, only when the decoder refused an object, for all of its mistakes with paths, values and remedies.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec import inspect

from fingerpost.api.base import Duration

_SHOWN = 60  # characters of a wrong value


class Mistake(NamedTuple):
    path: str
    code: str
    message: str


class Leaf:
    """Nothing to walk below: a scalar, a map or a list of scalars, or a message that is open to any field."""

    __slots__ = ()


class Message:
    """A message with its known fields; `repeated` when the value is a list of such messages."""

    __slots__ = ("fields", "repeated")

    def __init__(self, *, repeated: bool) -> None:
        self.fields: dict[str, Tree] = {}
        self.repeated = repeated


Tree: TypeAlias = Leaf | Message
LEAF = Leaf()


def tree_of(model: type[msgspec.Struct]) -> Message:
    info = inspect.type_info(model)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - for the type checker
    made = _message(info, repeated=False)
    made.fields["status"] = LEAF  # written by us, never by users
    return made


def _message(info: inspect.StructType, *, repeated: bool) -> Message:
    out = Message(repeated=repeated)
    out.fields.update((field.encode_name, _tree(field.type)) for field in info.fields)
    out.fields.update((name, LEAF) for name in getattr(info.cls, "IGNORED", ()))
    return out


def _tree(info: inspect.Type) -> Tree:
    info = _without_none(info)
    repeated = isinstance(info, inspect.VarTupleType)
    if isinstance(info, inspect.VarTupleType):
        info = info.item_type
    if isinstance(info, inspect.StructType) and not getattr(info.cls, "OPEN", False):
        return _message(info, repeated=repeated)
    return LEAF


def _without_none(info: inspect.Type) -> inspect.Type:
    if isinstance(info, inspect.UnionType):
        rest = [t for t in info.types if not isinstance(t, inspect.NoneType)]
        return rest[0] if len(rest) == 1 else info
    return info


def unknown_fields(value: Mapping[str, Any], tree: Message) -> Iterator[Mistake]:
    """What has another shape than the model is passed over: that is a mistake, and told as such."""
    fields = tree.fields
    for name, item in value.items():
        below = fields.get(name)
        if item is None and below is not None and not name.endswith("Timestamp"):  # Kubernetes writes null timestamps
            yield Mistake(name, "NullField", "is null, which counts as absent; write {} for an empty object")
        elif below is LEAF:
            continue
        elif below is None:
            yield Mistake(name, "UnknownField", _unknown(name, fields))
        elif isinstance(below, Message):
            yield from _unknown_below(name, item, below)


def _unknown_below(name: str, item: Any, tree: Message) -> Iterator[Mistake]:
    if type(item) is dict:
        for path, code, message in unknown_fields(item, tree):
            yield Mistake(f"{name}.{path}", code, message)
    elif type(item) is list:
        for index, element in enumerate(item):
            for path, code, message in unknown_fields(element, tree) if type(element) is dict else ():
                yield Mistake(f"{name}[{index}].{path}", code, message)


def _unknown(name: str, fields: Mapping[str, Tree]) -> str:
    near = difflib.get_close_matches(name, fields, n=1)
    remedy = f'did you mean "{near[0]}"?' if near else "remove it"
    return f'field "{_cut(name)}" is not known and has no effect; {remedy}'


def mistakes(value: Any, model: type[msgspec.Struct]) -> Iterator[Mistake]:
    """Everything that makes the decoder refuse `value`."""
    return _mistakes(value, inspect.type_info(model), "")


def _mistakes(value: Any, info: inspect.Type, path: str) -> Iterator[Mistake]:
    if value is None and isinstance(info, inspect.UnionType) and info.includes_none:
        return
    info = _without_none(info)
    if isinstance(info, inspect.StructType):
        yield from _in_struct(value, info, path)
    elif isinstance(info, inspect.VarTupleType):
        if not isinstance(value, list):
            yield _wrong(path, "a list", value)
            return
        for index, item in enumerate(value):
            yield from _mistakes(item, info.item_type, f"{path}[{index}]")
    elif isinstance(info, inspect.DictType):
        if not isinstance(value, dict):
            yield _wrong(path, "a map", value)
            return
        for key, item in value.items():
            yield from _mistakes(item, info.value_type, f'{path}["{_cut(key)}"]')
    elif (mistake := _in_scalar(value, info, path)) is not None:
        yield mistake


def _in_struct(value: Any, info: inspect.StructType, path: str) -> Iterator[Mistake]:
    if not isinstance(value, dict):
        yield _wrong(path, "an object", value)
        return
    for field in info.fields:
        where = f"{path}.{field.encode_name}" if path else field.encode_name
        if field.encode_name in value:
            yield from _mistakes(value[field.encode_name], field.type, where)
        elif field.required:
            yield Mistake(where, "Required", "is missing")


def _in_scalar(value: Any, info: inspect.Type, path: str) -> Mistake | None:
    if isinstance(info, inspect.UnionType):  # int-or-string, name-or-number
        found = [_in_scalar(value, one, path) for one in info.types]
        if None in found:
            return None
        apt = [m for m in found if m is not None and m.code != "WrongType"]
        return apt[0] if apt else _wrong(path, " or ".join(map(_name, info.types)), value)
    if isinstance(info, inspect.EnumType | inspect.LiteralType):
        return _in_choice(value, info, path)
    if isinstance(info, inspect.IntType):
        return _in_integer(value, info, path)
    if isinstance(info, inspect.CustomType) and info.cls is Duration and isinstance(value, str):
        try:
            Duration.parse(value)
        except ValueError as wrong:
            return Mistake(path, "OutOfRange", str(wrong))
        return None
    fits = (isinstance(info, inspect.StrType) and isinstance(value, str)) or (
        isinstance(info, inspect.BoolType) and isinstance(value, bool)
    )
    return None if fits else _wrong(path, _name(info), value)


def _in_choice(value: Any, info: inspect.EnumType | inspect.LiteralType, path: str) -> Mistake | None:
    choices = [one.value for one in info.cls] if isinstance(info, inspect.EnumType) else list(info.values)
    if type(value) is not type(choices[0]):
        return _wrong(path, _name(info), value)
    if value in choices:
        return None
    return Mistake(path, "UnknownValue", f"{_show(value)} is not one of {', '.join(map(str, choices))}")


def _in_integer(value: Any, info: inspect.IntType, path: str) -> Mistake | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return _wrong(path, "an integer", value)
    if (info.ge is None or value >= info.ge) and (info.le is None or value <= info.le):
        return None
    return Mistake(path, "OutOfRange", f"must be {info.ge} to {info.le}, not {_cut(str(value))}")


def _name(info: inspect.Type) -> str:
    if isinstance(info, inspect.EnumType):
        return "one of " + ", ".join(str(one.value) for one in info.cls)
    if isinstance(info, inspect.LiteralType):
        return "one of " + ", ".join(map(str, info.values))
    if isinstance(info, inspect.IntType):
        return "an integer"
    if isinstance(info, inspect.BoolType):
        return "true or false"
    if isinstance(info, inspect.CustomType):
        return 'a duration such as "10s"'
    return "a string"


def _wrong(path: str, wanted: str, value: Any) -> Mistake:
    return Mistake(path, "WrongType", f"expected {wanted}, got {_show(value)}")


def _show(value: Any) -> str:
    if isinstance(value, str):
        return f'the string "{_cut(value)}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return "nothing (null)" if value is None else f"the number {_cut(str(value))}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
