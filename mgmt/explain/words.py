"""Matchers and actions in words, as `explain route` prints them."""

from __future__ import annotations

from mgmt.translate.ir import Action, DirectResponse, HeaderMatch, Matcher, MatchKind, PathMatch, QueryMatch, Redirect

_LONGEST_BODY = 60


def matcher_text(matcher: Matcher) -> str:
    """`prefix /cart, header x-beta = "1", method POST`; everything is `any request`."""
    parts = [_path(matcher.path)] if matcher.path else []
    parts += [_header(header) for header in matcher.headers]
    parts += [_query(parameter) for parameter in matcher.query]
    if matcher.method:
        parts.append(f"method {matcher.method}")
    if matcher.port:
        parts.append(f"port {matcher.port}")
    return ", ".join(parts) or "any request"


def _path(path: PathMatch) -> str:
    return f"{path.kind.value} {path.value}" + (" (any case)" if path.ignore_case else "")


def _header(header: HeaderMatch) -> str:
    if header.kind is MatchKind.PRESENT:
        return f"{'no ' if header.invert else ''}header {header.name}"
    sign = {(MatchKind.EXACT, False): "=", (MatchKind.EXACT, True): "!=", (MatchKind.REGEX, False): "~"}
    return f'header {header.name} {sign.get((header.kind, header.invert), "!~")} "{header.value}"'


def _query(parameter: QueryMatch) -> str:
    if parameter.kind is MatchKind.PRESENT:
        return f"query {parameter.name}"
    return f'query {parameter.name} {"~" if parameter.kind is MatchKind.REGEX else "="} "{parameter.value}"'


def action_text(action: Action) -> str:
    if isinstance(action, Redirect):
        where = ", ".join(
            p for p in (action.host and f"host {action.host}", action.path and f"path {action.path}") if p
        )
        return f"redirect {action.status} to {where or 'the same address'}"
    if isinstance(action, DirectResponse):
        body = action.body if len(action.body) <= _LONGEST_BODY else action.body[:_LONGEST_BODY] + "..."
        return f"direct response {action.status}" + (f' "{body}"' if body else "")
    rewrites = [f"path to {action.path_rewrite}"] if action.path_rewrite else []
    if action.regex_rewrite is not None:
        rewrites.append(f"path by regex {action.regex_rewrite[0]} to {action.regex_rewrite[1]}")
    if action.host_rewrite:
        rewrites.append(f"host to {action.host_rewrite}")
    return "forward" + (f", rewriting {' and '.join(rewrites)}" if rewrites else "")
