"""Values that nobody would write, most of them of the right shape: JSON after the models, protobuf after descriptors.

All choices come from a `Source`: hypothesis' random numbers (which it can make smaller), or the bytes of a fuzzer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from msgspec import inspect

from fingerpost.api.kinds import KINDS, Kind
from fingerpost.objects import ObjectKey, canonical

_T = TypeVar("_T")
MODELS = tuple(kind for kind in KINDS if kind.model is not None)
CLUSTERS, NAMESPACES, NAMES = ("mgmt", "east"), ("shop", "gw", "gloo-mesh"), ("a", "b", "east", "own")
_WORDS = (
    *("", *CLUSTERS, *NAMESPACES, *NAMES, "*", "*.shop.example", "www.shop.example", "a.mesh", "cart.mesh", "HTTP"),
    *("http", "/", "/a", "/a/", "/%2e%2e/", "a(b", ".*", "^/x$", "(?P<n>a)", "\\1", "1s", "-1s", "0.5s", "1h", "80"),
    "359999999.999s",  # the longest of whole milliseconds
    *(
        "10.0.0.1",
        "::1",
        "192.0.2.300",
        "unix:///x",
        "../..",
        "A",
        "é",
        "\U0001f600",
        "a\0b",
        "a\nb",
        "%s{}",
        "x" * 300,
    ),
    *("2026-01-01T00:00:00Z", "never", "edge", "ingress", "cart", "EXACT", "ROUTE_TABLE", "VIRTUAL_DESTINATION"),
)
_INTEGERS = (
    *(0, 1, 2, 80, 443, 65535, 65536, 100, 101, 599, -1),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, -(2**63), 2**64),
)


class Source(Protocol):
    def randint(self, low: int, high: int, /) -> int: ...


def choice(source: Source, options: Sequence[_T]) -> _T:
    return options[source.randint(0, len(options) - 1)]


def often(source: Source, share: int) -> bool:
    """In `share` of 100 cases."""
    return source.randint(0, 99) < share


# ---------------------------------------------------------------- JSON


def junk(source: Source, depth: int = 0) -> Any:
    """Any JSON at all."""
    kind = source.randint(0, 7 if depth < 3 else 4)
    if kind == 0:
        return None
    if kind == 1:
        return often(source, 50)
    if kind == 2:
        return choice(source, _INTEGERS)
    if kind == 3:
        return choice(source, (0.5, -1e300, 1e-300))
    if kind == 4:
        return choice(source, _WORDS)
    if kind == 5:
        return [junk(source, depth + 1) for _ in range(source.randint(0, 3))]
    return {choice(source, _WORDS): junk(source, depth + 1) for _ in range(source.randint(0, 3))}


def _struct(source: Source, info: inspect.StructType, depth: int, wrong: int) -> Any:
    out = {}
    for field in info.fields:
        if depth < 12 and often(source, 45 if depth < 6 else 20):
            out[field.encode_name] = value(source, field.type, depth + 1, wrong)
    if often(source, wrong):
        out[choice(source, _WORDS)] = junk(source)
    return out


def value(source: Source, info: inspect.Type, depth: int = 0, wrong: int = 1) -> Any:
    """Of the shape of `info`, but in `wrong` of 100 places anything at all."""
    if often(source, wrong):
        return junk(source)
    made: Callable[[Any], Any] | None = None
    for kind, make in _MAKERS.items():
        if isinstance(info, kind):
            made = make
            break
    if isinstance(info, inspect.StructType):
        return _struct(source, info, depth, wrong)
    if isinstance(info, inspect.UnionType):
        return value(
            source, choice(source, [t for t in info.types if not isinstance(t, inspect.NoneType)]), depth, wrong
        )
    if isinstance(info, inspect.VarTupleType | inspect.ListType):
        return [value(source, info.item_type, depth, wrong) for _ in range(source.randint(0, 2))]
    if isinstance(info, inspect.DictType):
        return {
            choice(source, _WORDS): value(source, info.value_type, depth, wrong) for _ in range(source.randint(0, 2))
        }
    if isinstance(info, inspect.EnumType):
        return choice(source, [member.value for member in info.cls])
    if isinstance(info, inspect.LiteralType):
        return choice(source, info.values)
    if isinstance(info, inspect.CustomType):
        return choice(source, ("1s", "0s", "-1s", "1.5s", "87600h", "359999999.999s", "1ns"))
    return made(source) if made is not None else junk(source)


_MAKERS: dict[type[inspect.Type], Callable[[Source], Any]] = {
    inspect.BoolType: lambda source: often(source, 50),
    inspect.IntType: lambda source: choice(source, _INTEGERS[:9]),
    inspect.FloatType: lambda source: choice(source, (0.0, 0.5, 100.0, -1.0)),
    inspect.StrType: lambda source: choice(source, _WORDS),
}


def written(source: Source, kind: Kind, wrong: int = 1) -> tuple[ObjectKey, Any]:
    """An object of the kind under a name that fits; its spec may be anything."""
    assert kind.model is not None
    obj = value(source, inspect.type_info(kind.model), 0, wrong)
    key = ObjectKey(kind.type, choice(source, CLUSTERS), choice(source, NAMESPACES), choice(source, NAMES))
    if isinstance(obj, dict) and not often(source, wrong):
        metadata = obj.get("metadata") if isinstance(obj.get("metadata"), dict) else {}
        labels = {"app": choice(source, NAMES)}
        metadata |= {"name": key.name, "namespace": key.namespace, "labels": labels, "generation": 1}
        obj |= {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
    return key, obj


def mutated(source: Source, obj: Any) -> Any:
    """One place in it is another: any value, a value of the same type, nothing, or twice."""
    if isinstance(obj, dict) and obj and not often(source, 15):
        name = choice(source, sorted(obj))
        if often(source, 5):
            return {key: item for key, item in obj.items() if key != name}
        return obj | {name: mutated(source, obj[name])}
    if isinstance(obj, list) and obj and not often(source, 15):
        at = source.randint(0, len(obj) - 1)
        if often(source, 10):
            return obj + obj[at : at + 1]
        return [*obj[:at], mutated(source, obj[at]), *obj[at + 1 :]]
    if isinstance(obj, str) and often(source, 80):
        return choice(source, _WORDS)
    if isinstance(obj, int) and not isinstance(obj, bool) and often(source, 80):
        return choice(source, _INTEGERS)
    if isinstance(obj, list) and often(source, 80):
        return []
    if isinstance(obj, dict) and often(source, 80):
        return {}
    return junk(source)


def body(obj: Any) -> bytes:
    try:
        return canonical(obj)
    except (UnicodeEncodeError, msgspec.MsgspecError, OverflowError):
        return b"{}"


# ---------------------------------------------------------------- protobuf

_SCALARS: dict[int, Callable[[Source], Any]] = {
    FieldDescriptor.TYPE_BOOL: lambda source: often(source, 50),
    FieldDescriptor.TYPE_DOUBLE: lambda source: choice(source, (0.0, -1.0, 1e308)),
    FieldDescriptor.TYPE_ENUM: lambda source: source.randint(0, 9),
    FieldDescriptor.TYPE_INT64: lambda source: choice(source, (0, 1, -1, 2**63 - 1, -(2**63))),
    FieldDescriptor.TYPE_UINT64: lambda source: choice(source, (0, 1, 2, 3, 4, 40, 2**53, 2**64 - 1)),
    FieldDescriptor.TYPE_UINT32: lambda source: choice(source, (0, 1, 2, 3, 255, 256, 2**32 - 1)),
    FieldDescriptor.TYPE_STRING: lambda source: choice(source, (*_TOLD, *_WORDS)),
    FieldDescriptor.TYPE_BYTES: lambda source: choice(source, _BYTES),
}
_TOLD = ("core/Service", "routes", "gw/ingress", "ns", "n", "t/T/east/ns/n", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")
_BYTES = (b"", b"{}", b"[", bytes(16), bytes(32), bytes(2048), b"\xff" * 7, b"x" * 16 + bytes(16), b"1" * 31)


def fill(source: Source, message: Message, depth: int = 0) -> Message:
    """Fields of `message`, at random."""
    descriptor: Descriptor = message.DESCRIPTOR
    for field in descriptor.fields:
        if field.containing_oneof is None and often(source, 60 if depth < 4 else 15):
            _set(source, message, field, depth)
    for oneof in descriptor.oneofs:
        _set(source, message, choice(source, oneof.fields), depth)
    return message


def _set(source: Source, message: Message, field: FieldDescriptor, depth: int) -> None:
    if field.is_repeated:
        held = getattr(message, field.name)
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for _ in range(source.randint(0, 2)):
                fill(source, held.add(), depth + 1)
        else:
            held.extend(_SCALARS[field.type](source) for _ in range(source.randint(0, 2)))
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        held = getattr(message, field.name)
        held.SetInParent()
        fill(source, held, depth + 1)
    else:
        setattr(message, field.name, _SCALARS[field.type](source))
