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


def supported_destinations(kinds: Sequence[DestinationKind]) -> tuple[Rule, ...]:
    """Of a spec: that the kind of each of its `applyToDestinations`, SERVICE when absent, is one of `kinds`.

    By what it must not be: an API server reckons `in` of a list so dear that it refuses the rule for many selectors.
    """
    others = [f"self.kind != '{kind.value}'" for kind in DestinationKind if kind not in kinds]
    if not others:
        return ()
    none_of = " && ".join(others)
    cel = f"!has(self.kind) || {none_of}" if DestinationKind.SERVICE in kinds else f"has(self.kind) && {none_of}"
    return (Rule(cel, supported_words(kinds), at="applyToDestinations[]", about="kind"),)


def supported_words(kinds: Sequence[DestinationKind]) -> str:
    wanted = f"must be {' or '.join(kind.value for kind in kinds)}"
    others = [kind.value for kind in DestinationKind if kind not in (*kinds, DestinationKind.SERVICE)]
    if DestinationKind.SERVICE not in kinds:
        others.append(f"{DestinationKind.SERVICE.value}, which it also is when absent")
    return f"{wanted}, not {' or '.join(others)}" if others else wanted


WHOLE_MILLISECONDS = "must be whole milliseconds and at least 1ms"
# CEL cannot take a duration modulo another; this reads the same from how it is written.
_WHOLE = (
    "^([0-9]+([.][0-9]{0,5}0*)?h|[0-9]+([.][0-9]{0,4}0*)?m|[0-9]+([.][0-9]{0,3}0*)?s|[0-9]+([.]0*)?ms|[0-9]*000us)+$"
)


def whole_milliseconds(*fields: str) -> tuple[Rule, ...]:
    """Of durations that the data plane counts in milliseconds, 0 being none of them."""
    cel = f"self.matches('{_WHOLE}') && self.matches('[1-9]')"
    return tuple(Rule(cel, WHOLE_MILLISECONDS, at=name) for name in fields)
