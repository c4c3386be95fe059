"""`first_difference` says of random requests what a real Envoy does with them: explain rests on it."""

from __future__ import annotations

import pytest
from case_gateway import Case, Gateway, declare
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mgmt.translate.routing.match import Request, first_difference, parse_query

pytestmark = pytest.mark.envoy

CASE: Case = declare(
    "agrees",
    """
    - name: r0
      matchers: [{uri: {exact: /a}, headers: [{name: x, value: v}]}]
      directResponse: {status: 200, body: r0}
    - name: r1
      matchers: [{uri: {prefix: /A, ignoreCase: true}, method: put}]
      directResponse: {status: 200, body: r1}
    - name: r2
      matchers: [{uri: {regex: '/a(/b)?'}, headers: [{name: x}]}]
      directResponse: {status: 200, body: r2}
    - name: r3
      matchers: [{headers: [{name: x, value: v, invertMatch: true}], queryParameters: [{name: p}], method: GET}]
      directResponse: {status: 200, body: r3}
    - name: r4
      matchers: [{headers: [{name: x, value: 'v*', regex: true, invertMatch: true}]}, {port: 443, uri: {prefix: /b}}]
      directResponse: {status: 200, body: r4}
    - name: r5
      matchers: [{queryParameters: [{name: p, value: '1'}]}, {queryParameters: [{name: q, value: '1|2', regex: true}]}]
      directResponse: {status: 200, body: r5}
    - name: r6
      matchers: [{headers: [{name: x, invertMatch: true}], uri: {exact: /b}}]
      directResponse: {status: 200, body: r6}
    - name: r7
      matchers: [{headers: [{name: host, value: agrees.test}], uri: {prefix: /a}}]
      directResponse: {status: 200, body: r7}
    - name: r8
      matchers: [{headers: [{name: accept, value: v}]}, {headers: [{name: accept, value: 'v,w|,?v', regex: true}]}]
      directResponse: {status: 200, body: r8}
    """,
)

PATHS = st.lists(st.sampled_from(["a", "A", "b", "a%62", "é".encode().hex()]), max_size=3).map(
    lambda s: "/" + "/".join(s)
)
QUERIES = st.lists(
    st.sampled_from(["p", "p=", "p=1", "p=2", "q=2", "q=12", "P=1", "p=1=1", "", "%70=1"]), max_size=3
).map("&".join)
HEADERS = st.lists(
    st.tuples(st.sampled_from(["x", "X", "accept"]), st.sampled_from(["", "v", "V", "vv", "w"])), max_size=3
)


@pytest.mark.spec("R-67")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=PATHS,
    query=QUERIES,
    headers=HEADERS,
    method=st.sampled_from(["GET", "PUT"]),
    port=st.sampled_from([80, 443]),
)
def test_agrees_with_envoy(
    gateway: Gateway, path: str, query: str, headers: list[tuple[str, str]], method: str, port: int
) -> None:
    request = Request(
        host=CASE.host, path=path, query=parse_query(query), headers=tuple(headers), method=method, port=port
    )
    routes = CASE.resolved.routes
    matching = (i for i, r in enumerate(routes) if any(not first_difference(m, request) for m in r.matchers))
    expected = next((f"r{i}" for i in matching), "")
    answer = gateway.ask(CASE, f"{path}?{query}" if query else path, method=method, headers=headers, port=port)
    assert answer.body == expected
