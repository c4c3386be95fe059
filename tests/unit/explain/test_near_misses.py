"""Requests that just miss a route: `no route`, the nearest route, and the first condition that fails."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from explain_world import ask, table, world

from mgmt.explain import render
from mgmt.explain.answer import Explanation, RequestAnswer, Verdict
from mgmt.translate.translator import Translator

HTTP = """
- name: cart
  matchers: [{uri: {prefix: /cart/}, method: POST}]
  directResponse: {status: 200}
- name: exact
  matchers: [{uri: {exact: /checkout}}]
  directResponse: {status: 200}
- name: number
  matchers: [{uri: {regex: '/item/[0-9]+'}}]
  directResponse: {status: 200}
- name: folded
  matchers: [{uri: {prefix: /Help, ignoreCase: true}, headers: [{name: x-lang, value: en}]}]
  directResponse: {status: 200}
- name: beta
  matchers: [{uri: {prefix: /beta}, headers: [{name: x-beta}, {name: x-user, value: 'u[0-9]+', regex: true}]}]
  directResponse: {status: 200}
- name: calm
  matchers: [{uri: {prefix: /calm}, headers: [{name: x-loud, invertMatch: true}]}]
  directResponse: {status: 200}
- name: search
  matchers: [{uri: {exact: /search}, queryParameters: [{name: q}, {name: page, value: '[1-9]+', regex: true}]}]
  directResponse: {status: 200}
- name: version
  matchers: [{uri: {prefix: /api}, queryParameters: [{name: v, value: '2'}]}]
  directResponse: {status: 200}
- name: secure
  matchers: [{uri: {prefix: /secure}, headers: [{name: x-forwarded-proto, value: https}]}]
  directResponse: {status: 200}
- name: either
  matchers: [{uri: {exact: /one}, method: PUT}, {uri: {exact: /two}, headers: [{name: x-two}]}]
  directResponse: {status: 200}
"""


class Miss(NamedTuple):
    url: str
    route: str
    reason: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()


W = "http://www.shop.example"
MISSES = (
    Miss(f"{W}/cart/7", "cart", "method GET is not POST"),
    Miss(f"{W}/cart/", "cart", "method PUT is not POST", "PUT"),
    Miss(f"{W}/cart", "cart", 'path "/cart" does not begin with "/cart/"', "POST"),
    Miss(f"{W}/Cart/1", "cart", 'path "/Cart/1" does not begin with "/cart/"', "POST"),
    Miss(f"{W}/carts/1", "cart", 'path "/carts/1" does not begin with "/cart/"', "POST"),
    Miss(f"{W}/cart%2F1", "cart", 'path "/cart%2F1" does not begin with "/cart/"', "POST"),
    Miss(f"{W}/cart/../kart/", "cart", 'path "/kart/" does not begin with "/cart/"', "POST"),
    Miss(f"{W}/checkout/", "exact", 'path "/checkout/" is not "/checkout"'),
    Miss(f"{W}/checkou", "exact", 'path "/checkou" is not "/checkout"'),
    Miss(f"{W}//checkout", "exact", 'path "//checkout" is not "/checkout"'),
    Miss(f"{W}/CHECKOUT", "exact", 'path "/CHECKOUT" is not "/checkout"'),
    Miss(f"{W}/item/", "number", 'path "/item/" does not match the regex "/item/[0-9]+"'),
    Miss(f"{W}/item/12a", "number", 'path "/item/12a" does not match the regex "/item/[0-9]+"'),
    Miss(f"{W}/item/12/", "number", 'path "/item/12/" does not match the regex "/item/[0-9]+"'),
    Miss(f"{W}/help", "folded", 'header "x-lang" is absent'),
    Miss(f"{W}/HELP/me", "folded", 'header "x-lang" is "de", it does not equal "en"', headers=(("X-Lang", "de"),)),
    Miss(f"{W}/help", "folded", 'header "x-lang" is "EN", it does not equal "en"', headers=(("x-lang", "EN"),)),
    Miss(f"{W}/beta", "beta", 'header "x-beta" is absent'),
    Miss(f"{W}/beta", "beta", 'header "x-user" is absent', headers=(("x-beta", ""),)),
    Miss(
        f"{W}/beta",
        "beta",
        'header "x-user" is "u1x", it does not match the regex "u[0-9]+"',
        headers=(("x-beta", "1"), ("x-user", "u1x")),
    ),
    Miss(f"{W}/calm", "calm", 'header "x-loud" is present, it must be absent', headers=(("x-loud", "1"),)),
    Miss(f"{W}/search", "search", 'query parameter "q" is absent'),
    Miss(f"{W}/search?q=", "search", 'query parameter "page" is absent'),
    Miss(f"{W}/search?q&page=0", "search", 'query parameter "page" is "0", it does not match the regex "[1-9]+"'),
    Miss(f"{W}/search?Q=1&page=1", "search", 'query parameter "q" is absent'),
    Miss(f"{W}/api?v=1&v=2", "version", 'query parameter "v" is "1", it does not equal "2"'),
    Miss(f"{W}/api", "version", 'query parameter "v" is absent'),
    Miss(f"{W}/secure", "secure", 'header "x-forwarded-proto" is "http", it does not equal "https"'),
    Miss(f"{W}/one", "either", "method GET is not PUT"),
    Miss(f"{W}/two", "either", 'header "x-two" is absent'),
    Miss("http://ww.shop.example/checkout", "exact", 'host "ww.shop.example" is not "www.shop.example"'),
    Miss(
        "http://shop.example/checkou",
        "exact",
        'host "shop.example" is not "www.shop.example"; path "/checkou" is not "/checkout"',
    ),
)


@pytest.fixture(scope="module")
def translator() -> Translator:
    return world(table("www", ["www.shop.example"], HTTP), clusters=("east",))


@pytest.mark.spec("C-42")
@pytest.mark.parametrize("miss", MISSES, ids=lambda m: f"{m.method} {m.url.removeprefix('http://')}")
def test_no_route_with_the_nearest(translator: Translator, miss: Miss) -> None:
    answer = ask(translator, miss.url, miss.method, **dict(miss.headers))
    assert answer.verdict in (Verdict.NO_ROUTE, Verdict.NO_HOST)
    assert answer.status == 404
    assert answer.message.startswith("no route: ")
    nearest = answer.near[0]
    assert (nearest.route, nearest.reason) == (f"{miss.route}-www.shop.mgmt", miss.reason)
    shown = RequestAnswer(method=miss.method, scheme="http", authority="", path="/", port=80)
    text = render(Explanation(request=shown, gateways=(answer,)))
    assert "no route" in text
    assert miss.reason in text


def test_every_near_miss_is_named_once(translator: Translator) -> None:
    answer = ask(translator, f"{W}/nothing")
    names = [miss.route for miss in answer.near]
    assert len(names) == len(set(names)) == 3


def test_without_any_table_it_says_so() -> None:
    answer = ask(world(""), f"{W}/")
    assert answer.verdict is Verdict.NO_HOST
    assert answer.message.endswith("no table is bound to this listener")
    assert answer.near == ()
