"""Odd tables that are accepted: Envoy has to accept them too, or one route would hold up everybody's configuration."""

from __future__ import annotations

import pytest
from case_gateway import Case, Gateway, declare

pytestmark = pytest.mark.envoy

ODD = [
    declare(f"odd-{i}", f"[{{{route}, {{directResponse: {{status: 201}}}}]")
    for i, route in enumerate(
        (
            r"matchers: [{uri: {exact: nope}}], directResponse: {status: 204, body: x}}",
            r'matchers: [{uri: {prefix: "a\0b"}}, {uri: {exact: "a\nb?#"}}], directResponse: {status: 200}}',
            r'matchers: [{method: "a\nb"}], directResponse: {status: 200}}',
            r'matchers: [{headers: [{name: ":path"}, {name: y, value: "a\n"}]}], directResponse: {status: 200}}',
            r'matchers: [{queryParameters: [{name: "a\nb", value: "x\n"}]}], directResponse: {status: 200}}',
            r"matchers: [{uri: {regex: '(a{1,100}){1,9}'}}], directResponse: {status: 200}}",
            r"matchers: [{uri: {exact: /é}}], redirect: {pathRedirect: 'no slash é'}}",
            r"matchers: [{uri: {exact: /é}}], forwardTo: {pathRewrite: 'é no', destinations: [{ref: {name: cart}}]}}",
            r'name: "x\ny", matchers: [{uri: {prefix: /x}}], forwardTo: {destinations: [{ref: {name: cart}}]}}',
        )
    )
]


@pytest.mark.parametrize("case", ODD, ids=lambda case: case.host)
def test_envoy_accepts_what_is_accepted(gateway: Gateway, case: Case) -> None:
    assert case.messages == []
    assert gateway.ask(case, "/other").status == 201
