"""Messages that several kinds share, and what a host name is."""

from __future__ import annotations

from collections.abc import Sequence

from fingerpost.api.common import (
    ClientMode,
    DestinationKind,
    DestinationReference,
    HeaderMatcher,
    HTTPRequestMatcher,
    ObjectReference,
    PortSelector,
    QueryParameterMatcher,
    StringMatch,
    TCPRequestMatcher,
    TLSRequestMatcher,
)
from fingerpost.api.limits import LARGEST_PORT
from fingerpost.crd.constraints import Constraints, Rule, limit, one_of, required

_LABEL = "[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_HOST = f"^{_LABEL}([.]{_LABEL})*[.]?$"
_NUMBER_LAST = "(^|[.])[0-9]+[.]?$"
PROTOCOLS = ("HTTP", "HTTPS", "GRPC", "HTTP2", "MONGO", "TCP", "TLS")
WRITTEN_PROTOCOLS = (*PROTOCOLS, *(name.lower() for name in PROTOCOLS), "gRPC")


def is_host(value: str = "self") -> str:
    """CEL: a host name without wildcard."""
    return f"{value}.matches('{_HOST}') && !{value}.matches('{_NUMBER_LAST}')"


def is_wildcard_host(value: str = "self") -> str:
    """CEL: `*`, or a host name whose first label may begin with one."""
    matches = f"{value}.matches('^({_LABEL}|[*][-a-zA-Z0-9]{{0,61}}[a-zA-Z0-9]|[*]([.]{_LABEL}))([.]{_LABEL})*[.]?$')"
    return f"{value} == '*' || {matches} && !{value}.matches('{_NUMBER_LAST}')"


RULES: Constraints = {
    PortSelector: (limit("number", maximum=LARGEST_PORT),),
    ObjectReference: (required("name"), limit("name", minLength=1)),
    ClientMode: (one_of("auto", "sniRouting", "tlsTermination"),),
    DestinationReference: (one_of("ref", "awsLambda"),),
    StringMatch: (one_of("exact", "prefix", "regex", "suffix"),),
    HTTPRequestMatcher: (limit("port", maximum=LARGEST_PORT),),
    HeaderMatcher: (required("name"), limit("name", minLength=1)),
    QueryParameterMatcher: (required("name"), limit("name", minLength=1)),
    TCPRequestMatcher: (limit("port", maximum=LARGEST_PORT),),
    TLSRequestMatcher: (limit("port", maximum=LARGEST_PORT),),
}


def supported(kinds: Sequence[DestinationKind]) -> str:
    """Of a DestinationSelector: that its kind, SERVICE when absent, is one of `kinds`.

    By what it must not be: an API server reckons `in` of a list so dear that it refuses the rule for many selectors.
    """
    others = [kind for kind in DestinationKind if kind not in kinds]
    none_of = " && ".join(f"self.kind != '{kind.value}'" for kind in others) or "true"
    if DestinationKind.SERVICE in kinds:
        return f"!has(self.kind) || {none_of}"
    return f"has(self.kind) && {none_of}"


def supported_words(kinds: Sequence[DestinationKind]) -> str:
    others = [kind for kind in DestinationKind if kind not in kinds]
    not_these = " or ".join(kind.value for kind in others)
    absent = ", which it also is when absent" if DestinationKind.SERVICE in others else ""
    return f"must be {' or '.join(kind.value for kind in kinds)}, not {not_these}{absent}"


WHOLE_MILLISECONDS = "must be whole milliseconds and at least 1ms"
# CEL cannot take a duration modulo another; this reads the same from how it is written.
_WHOLE = (
    "^([0-9]+([.][0-9]{0,5}0*)?h|[0-9]+([.][0-9]{0,4}0*)?m|[0-9]+([.][0-9]{0,3}0*)?s|[0-9]+([.]0*)?ms|[0-9]*000us)+$"
)


def whole_milliseconds(*fields: str) -> tuple[Rule, ...]:
    """Of durations that the data plane counts in milliseconds, 0 being none of them."""
    cel = f"self.matches('{_WHOLE}') && self.matches('[1-9]')"
    return tuple(Rule(cel, WHOLE_MILLISECONDS, at=name) for name in fields)
