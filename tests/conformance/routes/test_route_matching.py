"""What a matcher lets through, asked of a real Envoy: a request that no route matches is a 404."""

from __future__ import annotations

import pytest
from case_gateway import Case, Gateway, declare

pytestmark = pytest.mark.envoy


def matching(name: str, *matchers: str) -> Case:
    lines = "".join(f"\n  - {matcher}" for matcher in matchers)
    return declare(name, f"- name: only\n  matchers:{lines}\n  directResponse: {{status: 200, body: hit}}")


def hits(gateway: Gateway, case: Case, path: str = "/", *headers: tuple[str, str], method: str = "GET") -> bool:
    assert case.messages == []
    answer = gateway.ask(case, path, headers=headers, method=method)
    assert answer.status in (200, 404), answer
    return answer.status == 200


PREFIX = matching("prefix", "{uri: {prefix: /myapp}}")
PREFIX_ANY_CASE = matching("prefix-any-case", "{uri: {prefix: /MyApp, ignoreCase: true}}")
EXACT = matching("exact", "{uri: {exact: /myapp}}")
EXACT_ANY_CASE = matching("exact-any-case", "{uri: {exact: /myapp, ignoreCase: true}}")
REGEX = matching("regex", "{uri: {regex: '/v.*/myapp'}}")
REGEX_ANY_CASE = matching("regex-any-case", "{uri: {regex: '/v.*/myapp', ignoreCase: true}}")
NO_URI = matching("no-uri", "{}")


@pytest.mark.spec("R-64")
def test_prefix_is_a_string_prefix(gateway: Gateway) -> None:
    assert [hits(gateway, PREFIX, p) for p in ("/myapp", "/myapp/foo", "/myapp?x=1", "/myapple")] == [True] * 4
    assert [hits(gateway, PREFIX, p) for p in ("/my", "/MYAPP")] == [False] * 2


@pytest.mark.spec("R-65")
def test_exact_is_the_path_without_the_query(gateway: Gateway) -> None:
    assert [hits(gateway, EXACT, p) for p in ("/myapp", "/myapp?x=1", "/myapp/")] == [True, True, False]


@pytest.mark.spec("R-66")
def test_case_can_be_ignored(gateway: Gateway) -> None:
    assert [hits(gateway, EXACT_ANY_CASE, p) for p in ("/MyApp", "/myapp", "/MyApp/")] == [True, True, False]
    assert [hits(gateway, PREFIX_ANY_CASE, p) for p in ("/mYaPP/x", "/MY")] == [True, False]
    assert not hits(gateway, EXACT, "/MyApp")


@pytest.mark.spec("R-68")
def test_regex_matches_the_whole_path(gateway: Gateway) -> None:
    paths = ("/v1/myapp", "/v1/myapp?a=b", "/v1/myapp/x", "/x/v1/myapp")
    assert [hits(gateway, REGEX, p) for p in paths] == [True, True, False, False]


@pytest.mark.spec("R-69")
def test_regex_keeps_its_case(gateway: Gateway) -> None:
    assert [hits(gateway, REGEX_ANY_CASE, p) for p in ("/v1/myapp", "/v1/MYAPP")] == [True, False]


def test_an_empty_matcher_matches_everything(gateway: Gateway) -> None:
    assert hits(gateway, NO_URI, "/a/b?c", method="DELETE")


HEADER_PRESENT = matching("header-present", "{headers: [{name: X-One}]}")
HEADER_VALUE = matching("header-value", "{headers: [{name: x-one, value: Alpha}]}")
HEADER_NOT_PRESENT = matching("header-not-present", "{headers: [{name: x-one, invertMatch: true}]}")
HEADER_NOT_VALUE = matching("header-not-value", "{headers: [{name: x-one, value: v, invertMatch: true}]}")
HEADER_NOT_REGEX = matching(
    "header-not-regex", "{headers: [{name: x-one, value: 'v.', regex: true, invertMatch: true}]}"
)
COOKIE = matching("cookie", "{headers: [{name: Cookie, value: '.*?session=.*', regex: true}]}")
BOTH_WAYS = matching("both-ways", "{headers: [{name: x-one}, {name: X-ONE, value: v, invertMatch: true}]}")


@pytest.mark.spec("R-70", "R-71")
def test_inverted_header(gateway: Gateway) -> None:
    case = HEADER_NOT_VALUE
    assert [
        hits(gateway, case),
        hits(gateway, case, "/", ("x-one", "w")),
        hits(gateway, case, "/", ("x-one", "v")),
    ] == [
        True,
        True,
        False,
    ]
    assert [hits(gateway, HEADER_NOT_PRESENT), hits(gateway, HEADER_NOT_PRESENT, "/", ("x-one", ""))] == [True, False]
    assert [hits(gateway, HEADER_NOT_REGEX, "/", ("x-one", v)) for v in ("v1", "v12")] == [False, True]
    assert hits(gateway, HEADER_NOT_REGEX)


@pytest.mark.spec("R-72")
def test_an_empty_header_is_present(gateway: Gateway) -> None:
    assert hits(gateway, HEADER_PRESENT, "/", ("x-one", ""))
    assert not hits(gateway, HEADER_PRESENT)


@pytest.mark.spec("R-73")
def test_regex_of_a_cookie(gateway: Gateway) -> None:
    assert hits(gateway, COOKIE, "/", ("cookie", "a=b; session=12; c=d"))
    assert not hits(gateway, COOKIE, "/", ("cookie", "a=b"))
    assert not hits(gateway, COOKIE)


@pytest.mark.spec("R-74")
def test_case_of_headers(gateway: Gateway) -> None:
    assert hits(gateway, HEADER_VALUE, "/", ("X-ONE", "Alpha"))
    assert not hits(gateway, HEADER_VALUE, "/", ("x-one", "alpha"))


def test_one_positive_and_one_inverted_condition_on_a_header(gateway: Gateway) -> None:
    asked = [hits(gateway, BOTH_WAYS, "/", ("x-one", "w")), hits(gateway, BOTH_WAYS, "/", ("x-one", "v"))]
    assert [*asked, hits(gateway, BOTH_WAYS)] == [True, False, False]


QUERY_PRESENT = matching("query-present", "{queryParameters: [{name: version}]}")
QUERY_VALUE = matching("query-value", "{queryParameters: [{name: version, value: stage}]}")
QUERY_REGEX = matching("query-regex", "{queryParameters: [{name: version, value: 'stage.*', regex: true}]}")
QUERY_ALL = matching("query-all", "{queryParameters: [{name: a}, {name: b, value: '2'}]}")


@pytest.mark.spec("R-75")
def test_query_parameter_present(gateway: Gateway) -> None:
    paths = ("/?version", "/?version=", "/?a=1&version=2", "/?Version=1", "/")
    assert [hits(gateway, QUERY_PRESENT, p) for p in paths] == [True, True, True, False, False]


@pytest.mark.spec("R-76")
def test_query_parameter_value(gateway: Gateway) -> None:
    assert [hits(gateway, QUERY_VALUE, p) for p in ("/?version=stage", "/?version=stage2")] == [True, False]
    assert [hits(gateway, QUERY_REGEX, p) for p in ("/?version=stage2", "/?version=xstage")] == [True, False]
    assert [hits(gateway, QUERY_VALUE, p) for p in ("/?version=x&version=stage", "/?version=stage&version=x")] == [
        False,
        True,
    ]


@pytest.mark.spec("R-77")
def test_all_query_parameters_are_needed(gateway: Gateway) -> None:
    assert [hits(gateway, QUERY_ALL, p) for p in ("/?b=2&a", "/?a&b=2&c=3", "/?a", "/?b=2")] == [
        True,
        True,
        False,
        False,
    ]


METHODS = matching("methods", "{method: get}", "{method: HEAD}")
PORT = declare(
    "port",
    """
    - {name: tls, matchers: [{port: 443, uri: {prefix: /only}}], directResponse: {status: 200, body: tls}}
    - name: mixed
      matchers: [{port: 80, uri: {exact: /a}}, {port: 443, uri: {exact: /b}}]
      directResponse: {status: 200}
    """,
)


@pytest.mark.spec("R-78")
def test_several_methods(gateway: Gateway) -> None:
    assert [hits(gateway, METHODS, method=m) for m in ("GET", "HEAD", "POST")] == [True, True, False]


@pytest.mark.spec("R-79")
def test_port_of_the_listener(gateway: Gateway) -> None:
    assert [gateway.ask(PORT, "/only", port=p).status for p in (80, 443)] == [404, 200]
    assert [gateway.ask(PORT, "/a", port=p).status for p in (80, 443)] == [200, 404]
    assert [gateway.ask(PORT, "/b", port=p).status for p in (80, 443)] == [404, 200]


COMBINED = declare(
    "combined",
    """
    - name: canary
      matchers:
      - uri: {prefix: /cart}
        headers: [{name: x-canary, value: 'true'}]
        queryParameters: [{name: debug}]
        method: GET
      directResponse: {status: 200, body: canary}
    - {name: rest, matchers: [{uri: {prefix: /cart}}], directResponse: {status: 200, body: rest}}
    """,
)


@pytest.mark.spec("R-59")
def test_conditions_are_anded_and_the_first_match_wins(gateway: Gateway) -> None:
    canary = ("x-canary", "true")
    assert gateway.ask(COMBINED, "/cart?debug", headers=[canary]).body == "canary"
    assert gateway.ask(COMBINED, "/cart", headers=[canary]).body == "rest"
    assert gateway.ask(COMBINED, "/cart?debug").body == "rest"
    assert gateway.ask(COMBINED, "/cart?debug", headers=[canary], method="PUT").body == "rest"
    assert gateway.ask(COMBINED, "/").status == 404
