"""Messages that several kinds share, and what a host name is."""

from __future__ import annotations

from fingerpost.api.common import (
    ClientMode,
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
from fingerpost.crd.constraints import Constraints, limit, one_of, required

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
