"""Does one matcher take every request that another takes? Said only where it is certain, so a "no" proves nothing."""

from __future__ import annotations

from mgmt.translate.ir import HeaderMatch, Matcher, MatchKind, PathMatch, QueryMatch
from mgmt.translate.routing.regexes import full_match

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-~%=,;:@&!'\"<>")
_QUANTIFIERS = frozenset("*?+{")


def covers(wide: Matcher, narrow: Matcher) -> bool:
    """True: no request matches `narrow` without matching `wide`."""
    return (
        wide.port in (0, narrow.port)
        and wide.method in ("", narrow.method)
        and _path_covers(wide.path, narrow.path)
        and all(any(_header_follows(wanted, given) for given in narrow.headers) for wanted in wide.headers)
        and all(any(_query_follows(wanted, given) for given in narrow.query) for wanted in wide.query)
    )


def overlap(one: Matcher, other: Matcher) -> tuple[Matcher, ...]:
    """Requests that match both, as one matcher or, with a path each, as two; none when there are no such requests."""
    if (one.method and other.method and one.method != other.method) or (
        one.port and other.port and one.port != other.port
    ):
        return ()
    if any(_exclude(a, b) for a in one.headers for b in other.headers) or any(
        _exclude(a, b) for a in one.query for b in other.query
    ):
        return ()
    return tuple(
        Matcher(
            path=path,
            headers=tuple(dict.fromkeys((*one.headers, *other.headers))),
            query=tuple(dict.fromkeys((*one.query, *other.query))),
            method=one.method or other.method,
            port=one.port or other.port,
        )
        for path in _common_paths(one.path, other.path)
    )


def _common_paths(one: PathMatch | None, other: PathMatch | None) -> tuple[PathMatch | None, ...]:
    if _path_covers(one, other):
        return (other,)
    if _path_covers(other, one):
        return (one,)
    return () if one and other and _apart(one, other) else (one, other)


def _apart(one: PathMatch, other: PathMatch) -> bool:
    """No path matches both; the case of letters counts for neither."""
    (begins, whole), (also, whole_too) = beginning(one), beginning(other)
    if whole and whole_too:
        return begins != also
    if whole or whole_too:
        exact, open_end, rest = (begins, also, other) if whole else (also, begins, one)
        if rest.kind is MatchKind.REGEX and not (one.ignore_case or other.ignore_case):
            return not full_match(rest.value, one.value if whole else other.value)
        return not exact.startswith(open_end)
    return not (begins.startswith(also) or also.startswith(begins))


def beginning(path: PathMatch | None) -> tuple[str, bool]:
    """With what every path begins, with ASCII letters in lower case, and whether that is all of it."""
    if path is None:
        return "", False
    text = _literal_beginning(path.value) if path.kind is MatchKind.REGEX else path.value
    return text.encode().lower().decode(), path.kind is MatchKind.EXACT


def _exclude(one: HeaderMatch | QueryMatch, other: HeaderMatch | QueryMatch) -> bool:
    exact = one.kind is MatchKind.EXACT and other.kind is MatchKind.EXACT
    inverted = getattr(one, "invert", False) or getattr(other, "invert", False)
    return one.name == other.name and exact and not inverted and one.value != other.value


def _path_covers(wide: PathMatch | None, narrow: PathMatch | None) -> bool:
    if wide is None or Matcher(path=wide).catch_all:
        return True
    if narrow is None:
        return False
    if wide.kind is MatchKind.REGEX:
        return _regex_covers(wide.value, narrow)
    if narrow.ignore_case and not wide.ignore_case and wide.value.lower() != wide.value.upper():
        return False
    if wide.kind is MatchKind.EXACT:
        return narrow.kind is MatchKind.EXACT and _fold(wide, narrow.value) == _fold(wide, wide.value)
    begins = _literal_beginning(narrow.value) if narrow.kind is MatchKind.REGEX else narrow.value
    return _fold(wide, begins).startswith(_fold(wide, wide.value))


def _fold(path: PathMatch, text: str) -> bytes:
    """ASCII letters only, as Envoy does."""
    return text.encode().lower() if path.ignore_case else text.encode()


def _regex_covers(regex: str, narrow: PathMatch) -> bool:
    if narrow.kind is MatchKind.REGEX:
        return narrow.value == regex
    if narrow.ignore_case:
        return False
    if narrow.kind is MatchKind.EXACT:
        return full_match(regex, narrow.value)
    open_end = regex.endswith(".*") and not regex.endswith("\\.*") and "|" not in regex
    return open_end and full_match(regex, narrow.value)


def _literal_beginning(regex: str) -> str:
    """With what every match begins; possibly less than could be known."""
    if "|" in regex or "(?" in regex:
        return ""
    end = next((i for i, c in enumerate(regex) if c not in _PLAIN), len(regex))
    if end < len(regex) and regex[end] in _QUANTIFIERS:
        end -= 1
    return regex[: max(end, 0)]


def _header_follows(wanted: HeaderMatch, given: HeaderMatch) -> bool:
    if wanted.name != given.name:
        return False
    if wanted == given:
        return True
    if wanted.invert or given.invert:
        return False
    return _value_follows(wanted.kind, wanted.value, given.kind, given.value)


def _query_follows(wanted: QueryMatch, given: QueryMatch) -> bool:
    return wanted.name == given.name and (
        wanted == given or _value_follows(wanted.kind, wanted.value, given.kind, given.value)
    )


def _value_follows(wanted: MatchKind, value: str, given: MatchKind, known: str) -> bool:
    if wanted is MatchKind.PRESENT:
        return True
    return wanted is MatchKind.REGEX and given is MatchKind.EXACT and full_match(value, known)
