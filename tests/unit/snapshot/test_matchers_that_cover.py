"""`covers` and `overlap` against requests: what they say must hold for each that matches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgmt.translate.ir import HeaderMatch, Matcher, MatchKind, PathMatch, QueryMatch
from mgmt.translate.routing.covering import covers, overlap
from mgmt.translate.routing.match import Request, first_difference

EXACT, PREFIX, REGEX, PRESENT = MatchKind.EXACT, MatchKind.PREFIX, MatchKind.REGEX, MatchKind.PRESENT
PATHS = ("/", "/a", "/A", "/a/b", "/ab", "/b", "/a.b", "/axb")
REGEXES = ("/a.*", "/a|/b.*", "/.*", ".*", "/a", "/a?b*", r"/a\.b", r"/a\.*", "(?i)/A", "/[ab]", "/a{1,2}/b")
VALUES = ("v", "vv", "w", "")
paths = st.none() | st.builds(PathMatch, st.sampled_from((EXACT, PREFIX)), st.sampled_from(PATHS), st.booleans())
paths |= st.builds(PathMatch, st.just(REGEX), st.sampled_from(REGEXES))
kinds = st.sampled_from((EXACT, REGEX, PRESENT))
headers = st.builds(HeaderMatch, st.sampled_from("xy"), kinds, st.sampled_from(("v", "vv", "v*")), st.booleans())
queries = st.builds(QueryMatch, st.sampled_from("pq"), kinds, st.sampled_from(("v", "vv", "v*")))
matchers = st.builds(
    Matcher,
    paths,
    st.lists(headers, max_size=2).map(tuple),
    st.lists(queries, max_size=1).map(tuple),
    st.sampled_from(("", "GET", "PUT")),
    st.sampled_from((0, 80, 81)),
)
pairs = st.tuples(st.sampled_from("xy"), st.sampled_from(VALUES))
requests = st.builds(
    Request,
    path=st.sampled_from((*PATHS, "/a/b/c", "/aa/b", "/A/b", "/abb", "/a..")),
    query=st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from(VALUES)), max_size=2).map(tuple),
    headers=st.lists(pairs, max_size=2, unique_by=lambda p: p[0]).map(tuple),
    method=st.sampled_from(("GET", "PUT")),
    port=st.sampled_from((80, 81)),
)


def matches(matcher: Matcher, request: Request) -> bool:
    return not first_difference(matcher, request)


@given(matchers, matchers, st.lists(requests, min_size=5, max_size=30))
def test_what_is_covered_or_shared_is_so_for_every_request(one: Matcher, other: Matcher, asked: list[Request]) -> None:
    both = overlap(one, other)
    for request in asked:
        if covers(one, other) and matches(other, request):
            assert matches(one, request)
        assert all(matches(m, request) for m in both) or not (matches(one, request) and matches(other, request))
        if both:
            shared = all(matches(m, request) for m in both)
            assert shared == (matches(one, request) and matches(other, request))


def at(kind: MatchKind, value: str, **more: bool) -> Matcher:
    return Matcher(path=PathMatch(kind, value, **more))


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        (Matcher(), at(REGEX, "/x")),
        (at(PREFIX, "/"), at(EXACT, "/a")),
        (at(PREFIX, "/a"), at(PREFIX, "/a/b")),
        (at(PREFIX, "/A", ignore_case=True), at(EXACT, "/aB")),
        (at(REGEX, "/a.*"), at(PREFIX, "/ab")),
        (at(PREFIX, "/item"), at(REGEX, "/item/[0-9]+/picture")),
        (at(REGEX, "/[0-9]+"), at(EXACT, "/42")),
        (Matcher(headers=(HeaderMatch("x"),)), Matcher(headers=(HeaderMatch("x", EXACT, "v"),))),
        (Matcher(headers=(HeaderMatch("x", REGEX, "v+"),)), Matcher(headers=(HeaderMatch("x", EXACT, "vv"),))),
        (Matcher(), Matcher(method="GET", port=80, query=(QueryMatch("p"),))),
    ],
)
def test_it_sees_that_one_covers_the_other(wide: Matcher, narrow: Matcher) -> None:
    assert covers(wide, narrow)
    assert not covers(narrow, wide)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        (at(REGEX, r"/a\.*"), at(PREFIX, "/a")),
        (at(REGEX, "/a|/b.*"), at(PREFIX, "/b")),
        (at(PREFIX, "/a"), at(PREFIX, "/A", ignore_case=True)),
        (at(PREFIX, "/a"), at(REGEX, "/a?b*")),
        (at(PREFIX, "/aa"), at(REGEX, "/a{1,2}/b")),
        (at(PREFIX, "/a"), at(REGEX, "/a|/b.*")),
        (at(PREFIX, "/a"), at(REGEX, "(?i)/A")),
        (Matcher(headers=(HeaderMatch("x"),)), Matcher(headers=(HeaderMatch("x", EXACT, "v", invert=True),))),
        (Matcher(headers=(HeaderMatch("x", PRESENT, invert=True),)), Matcher(headers=(HeaderMatch("x"),))),
        (Matcher(port=80), Matcher()),
    ],
)
def test_it_claims_nothing_that_is_not_so(wide: Matcher, narrow: Matcher) -> None:
    assert not covers(wide, narrow)
