"""Matchers: from the users' HTTPRequestMatcher to `ir.Matcher` (routing.md §5).

A matcher that cannot be expressed is reported and dropped, never widened: half a condition would match requests that
its author excluded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fingerpost.api.common import HeaderMatcher, HTTPRequestMatcher, QueryParameterMatcher, StringMatch
from mgmt.translate import ir
from mgmt.translate.check.regex import regex_problem
from mgmt.translate.ir import MatchKind

EVERYTHING = (ir.Matcher(),)
_MAX_PORT = 65535
_LONGEST_QUERY_NAME = 1024  # bytes; Envoy refuses the whole route configuration beyond
_HEADER_NAME = re.compile(r":?[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class Broken(Exception):
    """Leaves this module only as text: one matcher is not expressible."""


class CompiledMatchers(NamedTuple):
    """`matchers` is empty only when every matcher was broken."""

    matchers: tuple[ir.Matcher, ...]
    errors: tuple[str, ...]


def compile_matchers(matchers: Sequence[HTTPRequestMatcher]) -> CompiledMatchers:
    """No matchers at all is one that matches everything."""
    if not matchers:
        return CompiledMatchers(EVERYTHING, ())
    good: list[ir.Matcher] = []
    errors: list[str] = []
    for i, matcher in enumerate(matchers):
        try:
            good.append(_compile(matcher))
        except Broken as broken:
            errors.append(f"matchers[{i}].{broken}")
    return CompiledMatchers(tuple(good), tuple(errors))


def _compile(matcher: HTTPRequestMatcher) -> ir.Matcher:
    if matcher.port > _MAX_PORT:
        raise Broken(f"port: {matcher.port} is no port, at most {_MAX_PORT} is possible")
    return ir.Matcher(
        path=_path(matcher.uri) if matcher.uri else None,
        headers=tuple(_headers(matcher.headers)) if matcher.headers else (),
        query=tuple(_query(matcher.query_parameters)) if matcher.query_parameters else (),
        method=matcher.method.upper(),
        port=matcher.port,
    )


def _path(uri: StringMatch) -> ir.PathMatch | None:
    if uri.suffix:
        raise Broken(f'uri.suffix: "{uri.suffix}" is not supported, use exact, prefix or regex')
    given = [
        (kind, value)
        for kind, value in (
            (MatchKind.EXACT, uri.exact),
            (MatchKind.PREFIX, uri.prefix),
            (MatchKind.REGEX, uri.regex),
        )
        if value
    ]
    if len(given) > 1:
        raise Broken(f"uri: only one of {' and '.join(kind.value for kind, _ in given)} may be set")
    if not given:
        return None
    kind, value = given[0]
    if kind is MatchKind.REGEX:
        _check_regex("uri.regex", value)
    return ir.PathMatch(kind=kind, value=value, ignore_case=uri.ignore_case and kind is not MatchKind.REGEX)


def _check_regex(field: str, pattern: str) -> None:
    if problem := regex_problem(pattern):
        raise Broken(f"{field}: {problem}")


def _value(field: str, value: str, regex: bool) -> MatchKind:
    if not regex:
        return MatchKind.EXACT if value else MatchKind.PRESENT
    if not value:
        raise Broken(f"{field}: regex is true but value is empty, set value or leave regex out")
    _check_regex(f"{field}.value", value)
    return MatchKind.REGEX


def _headers(headers: Sequence[HeaderMatcher]) -> Iterator[ir.HeaderMatch]:
    seen: dict[tuple[str, bool], ir.HeaderMatch] = {}
    for i, header in enumerate(headers):
        field = f"headers[{i}]"
        if not _HEADER_NAME.fullmatch(header.name):
            raise Broken(f'{field}.name: "{header.name}" is no header name')
        kind = _value(field, header.value, header.regex)
        name = header.name.lower()
        made = ir.HeaderMatch(name=name, kind=kind, value=header.value, invert=header.invert_match)
        first = seen.setdefault((name, header.invert_match), made)
        if first is made:
            yield made
        elif first != made:
            raise Broken(f'headers: more than one condition on header "{name}"')


def _query(parameters: Sequence[QueryParameterMatcher]) -> Iterator[ir.QueryMatch]:
    seen: dict[str, ir.QueryMatch] = {}
    for i, parameter in enumerate(parameters):
        field = f"queryParameters[{i}]"
        if not 1 <= len(parameter.name.encode()) <= _LONGEST_QUERY_NAME:
            raise Broken(f"{field}.name: a name of 1 to {_LONGEST_QUERY_NAME} bytes is needed")
        kind = _value(field, parameter.value, parameter.regex)
        made = ir.QueryMatch(name=parameter.name, kind=kind, value=parameter.value)
        first = seen.setdefault(parameter.name, made)
        if first is made:
            yield made
        elif first != made:
            raise Broken(f'queryParameters: more than one condition on parameter "{parameter.name}"')
