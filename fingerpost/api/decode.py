"""From an object's canonical JSON to its model, with everything wrong about it as Problems. No input makes it raise.

Unknown fields are warnings, because newer YAML must not break an older server (P-2); a wrong type refuses the object.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar

import msgspec

from fingerpost.api.base import ApiStruct, ObjectMeta, decode_hook
from fingerpost.api.kinds import BY_TYPE, Kind
from fingerpost.api.likeness import doubt
from fingerpost.api.schema import Message, Mistake, mistakes, tree_of, unknown_fields
from fingerpost.objects import ObjectKey, type_of
from fingerpost.problems import Problem, Severity, sayable

_MOST = 20  # problems of one object; the rest shows when these are mended
_raw = msgspec.json.Decoder()


class _Anything(ApiStruct, frozen=True):
    OPEN: ClassVar[bool] = True


class _Unmodelled(ApiStruct, frozen=True):
    """What every kind has, and all that the API server demands of one without a model."""

    metadata: ObjectMeta
    api_version: str
    kind: str
    spec: _Anything = _Anything()


class _Codec:
    __slots__ = ("decoder", "kind", "model", "tree")

    def __init__(self, kind: Kind, model: type[ApiStruct]) -> None:
        self.kind = kind
        self.model = model
        self.decoder: msgspec.json.Decoder[ApiStruct] = msgspec.json.Decoder(model, dec_hook=decode_hook)
        self.tree: Message = tree_of(model)


_CODECS = {type_: _Codec(kind, kind.model or _Unmodelled) for type_, kind in BY_TYPE.items()}


def decode(key: ObjectKey, body: bytes) -> tuple[Any | None, tuple[Problem, ...]]:
    """The typed object, or None when it cannot be used as it is. With an object there can be warnings."""
    codec = _CODECS.get(key.type)
    if codec is None:
        return None, (_of_unknown_kind(key),)
    if codec.kind.model is not None:
        return _decode(key, codec, body)
    obj, problems = _decode(key, codec, body)
    text = f"{key.kind} is not implemented in this version"
    missing = _problem(key, Severity.FAILED, Mistake("", "NotImplemented", text))
    return None, problems if obj is None else (missing, *problems)


def _decode(key: ObjectKey, codec: _Codec, body: bytes) -> tuple[Any | None, tuple[Problem, ...]]:
    try:
        obj = codec.decoder.decode(body)
        raw = _raw.decode(body) if codec.kind.written_by_users else None
    except (msgspec.MsgspecError, ValueError, RecursionError) as wrong:
        return _decode_slowly(key, codec, body, wrong)
    if raw is None:
        return obj, ()
    return _finish(key, codec, obj, raw)


def decode_again(type_: str, body: bytes) -> Any:
    """The typed object of a body from which `decode` made one before."""
    try:
        return _CODECS[type_].decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # something was forgiven
        return decode(ObjectKey(type_, "", "", ""), body)[0]


def _finish(key: ObjectKey, codec: _Codec, obj: Any, raw: dict[str, Any]) -> tuple[Any | None, tuple[Problem, ...]]:
    if (wrong := _wrong_version(key, codec.kind, obj)) is not None:
        return None, (wrong,)
    return obj, _problems(key, Severity.WARNING, unknown_fields(raw, codec.tree))


def _decode_slowly(
    key: ObjectKey, codec: _Codec, body: bytes, wrong: Exception
) -> tuple[Any | None, tuple[Problem, ...]]:
    """The decoder refused: forgive what Kubernetes forgives, else find out all that is wrong."""
    try:
        raw = _raw.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None, (_problem(key, Severity.INVALID, Mistake("", "Malformed", f"cannot be read: {wrong}")),)
    if not isinstance(raw, dict):
        return None, (_problem(key, Severity.INVALID, Mistake("", "Malformed", "expected an object of fields")),)
    raw = _forgive(raw, codec)
    try:
        obj = msgspec.convert(raw, codec.model, dec_hook=decode_hook)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        found = _problems(key, Severity.INVALID, mistakes(raw, codec.model))
        if not found:
            return None, (_problem(key, Severity.INVALID, Mistake("", "Malformed", str(error))),)
        refused = {problem.path for problem in found}
        unknown = unknown_fields(raw, codec.tree) if codec.kind.written_by_users else ()
        doubted = (mistake for mistake in unknown if sayable(mistake.path) not in refused)
        return None, (found + _problems(key, Severity.WARNING, doubted))[:_MOST]
    return _finish(key, codec, obj, raw) if codec.kind.written_by_users else (obj, ())


def _forgive(raw: dict[str, Any], codec: _Codec) -> dict[str, Any]:
    """Null counts as absent in metadata, and everywhere in what Kubernetes itself writes. A status is nobody's input.

    In a users' spec null stays a mistake, as it is for the API server: "labels: null" must not mean everything.
    """
    if not codec.kind.written_by_users:
        return {name: _without_nulls(item, name) for name, item in raw.items() if item is not None}
    out = {name: item for name, item in raw.items() if name != "status"}
    if isinstance(metadata := out.get("metadata"), dict):
        out["metadata"] = {name: item for name, item in metadata.items() if item is not None}
    return out


def _without_nulls(value: Any, name: str) -> Any:
    if isinstance(value, dict) and name not in ("labels", "annotations", "selector"):
        return {key: _without_nulls(item, key) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item, name) for item in value]
    return value


def _of_unknown_kind(key: ObjectKey) -> Problem:
    wrong = doubt(f"{key.type.rpartition('/')[0]}/v2", key.kind)
    remedy = f": {wrong.message}" if wrong is not None else "; correct apiVersion and kind, or remove the object"
    text = f'"{key.type}" is not a kind that is served{remedy}'
    return _problem(key, Severity.INVALID, Mistake("kind", "UnknownKind", text))


def _wrong_version(key: ObjectKey, kind: Kind, obj: Any) -> Problem | None:
    if obj.api_version == kind.api_version and obj.kind == kind.kind:
        return None
    if type_of(obj.api_version, obj.kind) == kind.type:
        text = f'{kind.kind} is served as "{kind.api_version}", not as "{obj.api_version}"'
        return _problem(key, Severity.INVALID, Mistake("apiVersion", "WrongVersion", text))
    text = f"expected {kind.type}, got {type_of(obj.api_version, obj.kind)}"
    return _problem(key, Severity.INVALID, Mistake("kind", "WrongKind", text))


def _problems(key: ObjectKey, severity: Severity, found: Iterable[Mistake]) -> tuple[Problem, ...]:
    return tuple(_problem(key, severity, mistake) for mistake in islice(found, _MOST))


def _problem(key: ObjectKey, severity: Severity, mistake: Mistake) -> Problem:
    text = sayable(mistake.message)
    return Problem(ref=key, path=sayable(mistake.path), severity=severity, code=mistake.code, message=text)
