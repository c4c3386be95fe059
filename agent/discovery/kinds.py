"""The kinds that discovery reads with their types; all others are passed on as they are, or not at all."""

from __future__ import annotations

from typing import Any

import msgspec

from fingerpost.api.core.endpoint_slice import EndpointSlice
from fingerpost.api.core.node import Node
from fingerpost.api.core.pod import Pod
from fingerpost.api.core.secret import Secret
from fingerpost.api.core.service import Service
from fingerpost.cluster.protocol import Change
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Severity

SERVICE = "core/Service"
SLICE = "discovery.k8s.io/EndpointSlice"
POD = "core/Pod"
NODE = "core/Node"
SECRET = "core/Secret"
NAMESPACE = "core/Namespace"
_INTERNAL = ("internal.gloo.solo.io/", "fingerpost.dev/")
_USERS = ".solo.io"  # networking.gloo.solo.io, ratelimit.solo.io, ...

_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    SERVICE: msgspec.json.Decoder(Service),
    SLICE: msgspec.json.Decoder(EndpointSlice),
    POD: msgspec.json.Decoder(Pod),
    NODE: msgspec.json.Decoder(Node),
    SECRET: msgspec.json.Decoder(Secret),
}


def is_read(type_: str) -> bool:
    return type_ in _DECODERS


def is_internal(type_: str) -> bool:
    """Kinds that agents make; written by a user they mean nothing."""
    return type_.startswith(_INTERNAL)


def is_passed_on(type_: str) -> bool:
    """Goes up whole: all users' kinds, and Namespaces."""
    return type_ == NAMESPACE or (type_.partition("/")[0].endswith(_USERS) and not is_internal(type_))


def decode(change: Change) -> Any:
    """The typed object, None when it is gone. Raises msgspec.ValidationError for wrong types."""
    return None if change.body is None else _DECODERS[change.key.type].decode(change.body)


def undecodable(key: ObjectKey, error: msgspec.ValidationError) -> Problem:
    """The decoder's words name the field and both types; a Secret's value is never in them."""
    what, _, path = str(error).partition(" - at `$.")
    return Problem(
        ref=key,
        path=path.rstrip("`"),
        severity=Severity.INVALID,
        code="WrongType",
        message=f"{key} is not used: {what[:1].lower()}{what[1:]} at {path.rstrip('`') or 'its top'}; correct it",
    )


def unwelcome(key: ObjectKey) -> Problem:
    return Problem(
        ref=key,
        path="kind",
        severity=Severity.INVALID,
        code="InternalKind",
        message=f"{key} is of a kind that agents make and has no effect when written by hand; remove it",
    )
