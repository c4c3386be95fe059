"""Does a request match? The answer of `explain`, which has to be Envoy's own.

`Request.path` is what Envoy routes by, so after its normalization; nothing here normalizes.
"""

from __future__ import annotations

from typing import NamedTuple

from mgmt.translate.ir import HeaderMatch, Matcher, MatchKind, PathMatch, QueryMatch
from mgmt.translate.routing.regexes import full_match

# Envoy keeps these headers as one value each, joined by commas; of any other header each line is a value of its own.
# It prints the list when it starts ("request header map"); what it calls x-envoy-... is there too.
_JOINED = frozenset(
    """
    accept accept-encoding access-control-request-headers access-control-request-method
    access-control-request-private-network authentication authorization cache-control cdn-loop connection
    content-encoding content-length content-type expect grpc-accept-encoding grpc-timeout if-match
    if-modified-since if-none-match if-range if-unmodified-since keep-alive origin pragma proxy-connection
    proxy-status referer te transfer-encoding upgrade user-agent via x-client-trace-id x-forwarded-client-cert
    x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-request-id
    """.split()  # noqa: SIM905 - one name a line would take two screens
)


class Request(NamedTuple):
    """`port` is the Service port of the listener that took the request; header names come in any case."""

    scheme: str = "http"
    host: str = ""
    path: str = "/"  # without the query
    query: tuple[tuple[str, str], ...] = ()  # as written, not percent-decoded, as Envoy compares it
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    port: int = 80

    def header(self, name: str) -> tuple[str, ...]:
        """The values that Envoy compares one by one; `name` in lower case."""
        if name in ("host", ":authority"):
            return (self.host,)
        if name in (":method", ":scheme"):
            return (self.method if name == ":method" else self.scheme,)
        if name == ":path":
            query = "&".join(f"{k}={v}" if v else k for k, v in self.query)
            return (f"{self.path}?{query}" if query else self.path,)
        values = tuple(value for key, value in self.headers if key.lower() == name)
        if len(values) > 1 and (name in _JOINED or name.startswith("x-envoy-")):
            return (",".join(value for value in values if value),)
        return values

    def parameter(self, name: str) -> str | None:
        """The first occurrence; the others are never looked at."""
        return next((value for key, value in self.query if key == name), None)


def parse_query(text: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a query string, split as Envoy splits them and not decoded."""
    if not text:
        return ()
    return tuple((key, value) for key, _, value in (part.partition("=") for part in text.split("&")))


def first_difference(matcher: Matcher, request: Request) -> str:
    """The first condition that does not hold, in words; empty when the request matches."""
    if matcher.port not in (0, request.port):
        return f"port {request.port} is not {matcher.port}"
    if matcher.path is not None and (difference := _path(matcher.path, request.path)):
        return difference
    for header in matcher.headers:
        if difference := _header(header, request.header(header.name)):
            return difference
    for parameter in matcher.query:
        if difference := _parameter(parameter, request.parameter(parameter.name)):
            return difference
    if matcher.method and matcher.method != request.method:
        return f"method {request.method} is not {matcher.method}"
    return ""


def _fold(text: str) -> bytes:
    return text.encode().lower()  # bytes fold ASCII letters only, and so does Envoy


def _path(wanted: PathMatch, path: str) -> str:
    if wanted.kind is MatchKind.REGEX:
        return "" if full_match(wanted.value, path) else f'path "{path}" does not match the regex "{wanted.value}"'
    have, want = (_fold(path), _fold(wanted.value)) if wanted.ignore_case else (path.encode(), wanted.value.encode())
    if wanted.kind is MatchKind.EXACT:
        return "" if have == want else f'path "{path}" is not "{wanted.value}"'
    return "" if have.startswith(want) else f'path "{path}" does not begin with "{wanted.value}"'


def _holds(kind: MatchKind, wanted: str, value: str) -> bool:
    if kind is MatchKind.PRESENT:
        return True
    return full_match(wanted, value) if kind is MatchKind.REGEX else value == wanted


def _words(kind: MatchKind, wanted: str) -> str:
    return f'match the regex "{wanted}"' if kind is MatchKind.REGEX else f'equal "{wanted}"'


def _header(wanted: HeaderMatch, values: tuple[str, ...]) -> str:
    name, shown = f'header "{wanted.name}"', ", ".join(values)
    if wanted.kind is MatchKind.PRESENT:
        if bool(values) != wanted.invert:
            return ""
        return f"{name} is present, it must be absent" if wanted.invert else f"{name} is absent"
    if wanted.invert:  # an absent header counts as empty
        holds = any(_holds(wanted.kind, wanted.value, value) for value in values or ("",))
        return f'{name} is "{shown}", it must not {_words(wanted.kind, wanted.value)}' if holds else ""
    if not values:
        return f"{name} is absent"
    if any(_holds(wanted.kind, wanted.value, value) for value in values):
        return ""
    return f'{name} is "{shown}", it does not {_words(wanted.kind, wanted.value)}'


def _parameter(wanted: QueryMatch, value: str | None) -> str:
    name = f'query parameter "{wanted.name}"'
    if value is None:
        return f"{name} is absent"
    if _holds(wanted.kind, wanted.value, value):
        return ""
    return f'{name} is "{value}", it does not {_words(wanted.kind, wanted.value)}'
