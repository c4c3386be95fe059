"""What every object of the users' contract is made of.

Values are immutable, camelCase outside and snake_case inside. An absent message is `None`, an absent scalar its proto3
zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

UInt32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class ApiStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False):
    """Part of the users' contract: immutable, camelCase outside, snake_case inside."""


class Absent(tuple[Any, ...]):
    """The default of the few lists for which "not written" and "written as []" differ; equal to () in all else."""

    __slots__ = ()


class OwnerReference(ApiStruct, frozen=True):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(ApiStruct, frozen=True):
    """The part of Kubernetes' ObjectMeta that we read. Names in IGNORED are known to Kubernetes, hence no mistake."""

    IGNORED: ClassVar[frozenset[str]] = frozenset(
        {
            "deletionGracePeriodSeconds",
            "finalizers",
            "generateName",
            "managedFields",
            "resourceVersion",
            "selfLink",
        }
    )

    name: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    uid: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    owner_references: tuple[OwnerReference, ...] = ()


class Empty(ApiStruct, frozen=True):
    """`google.protobuf.Empty`: only its presence counts."""


class ClusterObjectRef(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "core.skv2.solo.io.ClusterObjectRef"

    name: str = ""
    namespace: str = ""
    cluster_name: str = ""


class RegexMatcher(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "envoy.type.matcher.v3.RegexMatcher"

    google_re2: Empty | None = None
    regex: str = ""


class RegexMatchAndSubstitute(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "envoy.type.matcher.v3.RegexMatchAndSubstitute"

    pattern: RegexMatcher | None = None
    substitution: str = ""


class Duration(timedelta):
    """`google.protobuf.Duration` as JSON (`"1.5s"`), and what Go writes (`"1m30s"`). Exact to a microsecond.

    Protobuf would hold more, but Envoy refuses all of a cluster in which one has 2^63 ns or more, and CEL cannot even
    read it. Eleven years is what a rule of the API server can tell from how a duration is written.
    """

    _PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|us|ns|m|s)")
    _NANOS: ClassVar[Mapping[str, int]] = {
        "h": 3600 * 10**9,
        "m": 60 * 10**9,
        "s": 10**9,
        "ms": 10**6,
        "us": 10**3,
        "ns": 1,
    }
    LIMIT_HOURS: ClassVar[int] = 100_000
    TOO_LONG: ClassVar[str] = f"must be less than {LIMIT_HOURS}h, so that every gateway can hold it"

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Raises ValueError for anything that is not a duration."""
        sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
        parts = cls._PART.findall(rest) if len(rest) <= 64 else []  # bounded, because int() of a long text is slow
        if not parts or "".join(number + unit for number, unit in parts) != rest:
            raise ValueError(f'"{text[:64]}" is not a duration such as "10s", "1.5s" or "200ms"')
        nanos = sum(Fraction(number) * cls._NANOS[unit] for number, unit in parts)
        if nanos >= cls.LIMIT_HOURS * cls._NANOS["h"]:
            raise ValueError(f'"{text}" {cls.TOO_LONG}')
        if nanos % 1000:
            raise ValueError(f'"{text}" is finer than a microsecond')
        return cls(microseconds=sign * int(nanos // 1000))

    def __str__(self) -> str:
        micros = self // timedelta(microseconds=1)  # exact, unlike `total_seconds` of a very long one
        whole, rest = divmod(abs(micros), 10**6)
        return f"{'-' if micros < 0 else ''}{whole}.{rest:06}".rstrip("0").rstrip(".") + "s"


def decode_hook(kind: type, value: Any) -> Any:
    if kind is Duration and isinstance(value, str):
        return Duration.parse(value)
    raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
