"""Why a request does not match, in the words of explain; that the verdicts are Envoy's own is proved against Envoy."""

from __future__ import annotations

import pytest

from mgmt.translate.ir import HeaderMatch, Matcher, MatchKind, PathMatch, QueryMatch
from mgmt.translate.routing.match import Request, first_difference, parse_query

REQUEST = Request(
    host="a.test", path="/cart/1", query=parse_query("debug&v=1"), headers=(("X-One", "a"), ("x-one", "b")), port=443
)


@pytest.mark.parametrize(
    ("matcher", "difference"),
    [
        (Matcher(), ""),
        (Matcher(path=PathMatch(value="/cart"), method="GET", port=443), ""),
        (Matcher(port=80), "port 443 is not 80"),
        (Matcher(path=PathMatch(value="/x")), 'path "/cart/1" does not begin with "/x"'),
        (Matcher(path=PathMatch(kind=MatchKind.EXACT, value="/cart")), 'path "/cart/1" is not "/cart"'),
        (
            Matcher(path=PathMatch(kind=MatchKind.REGEX, value="/cart")),
            'path "/cart/1" does not match the regex "/cart"',
        ),
        (Matcher(headers=(HeaderMatch(name="y"),)), 'header "y" is absent'),
        (Matcher(headers=(HeaderMatch(name="y", kind=MatchKind.EXACT, value="1"),)), 'header "y" is absent'),
        (Matcher(headers=(HeaderMatch(name="x-one", invert=True),)), 'header "x-one" is present, it must be absent'),
        (
            Matcher(headers=(HeaderMatch(name="x-one", kind=MatchKind.EXACT, value="c"),)),
            'header "x-one" is "a, b", it does not equal "c"',
        ),
        (
            Matcher(headers=(HeaderMatch(name="x-one", kind=MatchKind.REGEX, value="b?", invert=True),)),
            'header "x-one" is "a, b", it must not match the regex "b?"',
        ),
        (Matcher(query=(QueryMatch(name="V"),)), 'query parameter "V" is absent'),
        (
            Matcher(query=(QueryMatch(name="v", kind=MatchKind.EXACT, value="2"),)),
            'query parameter "v" is "1", it does not equal "2"',
        ),
        (Matcher(method="PUT"), "method GET is not PUT"),
    ],
)
def test_first_difference(matcher: Matcher, difference: str) -> None:
    assert first_difference(matcher, REQUEST) == difference
