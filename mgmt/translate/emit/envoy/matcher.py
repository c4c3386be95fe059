"""Matchers as Envoy's RouteMatch (routing.md §5).

The port is not part of it: a route for another port is left out before.
"""

from __future__ import annotations

from typing import Any

from mgmt.translate import ir
from mgmt.translate.ir import MatchKind


def fill_match(out: Any, matcher: ir.Matcher) -> None:
    """`out` is an empty RouteMatch."""
    path = matcher.path
    if path is None:
        out.prefix = "/"
    elif path.kind is MatchKind.EXACT:
        out.path = path.value
    elif path.kind is MatchKind.REGEX:
        out.safe_regex.regex = path.value
    else:
        out.prefix = path.value
    if path is not None and path.ignore_case:
        out.case_sensitive.value = False
        out.case_sensitive.SetInParent()
    for header in matcher.headers:
        _fill_header(out.headers.add(name=header.name), header)
    if matcher.method:
        out.headers.add(name=":method").string_match.exact = matcher.method
    for parameter in matcher.query:
        _fill_parameter(out.query_parameters.add(name=parameter.name), parameter)


def _fill_header(out: Any, header: ir.HeaderMatch) -> None:
    if header.kind is MatchKind.PRESENT:
        out.present_match = True
    else:
        _fill_string(out.string_match, header.kind, header.value)
        if header.invert:
            out.treat_missing_header_as_empty = True
    if header.invert:
        out.invert_match = True


def _fill_parameter(out: Any, parameter: ir.QueryMatch) -> None:
    if parameter.kind is MatchKind.PRESENT:
        out.present_match = True
    else:
        _fill_string(out.string_match, parameter.kind, parameter.value)


def _fill_string(out: Any, kind: MatchKind, value: str) -> None:
    if kind is MatchKind.REGEX:
        out.safe_regex.regex = value
    else:
        out.exact = value
