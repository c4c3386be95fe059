"""Hosts, labels, selectors and references of a RouteTable."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fingerpost.api.decode import decode
from fingerpost.objects import ObjectKey
from fingerpost.problems import Severity
from mgmt.translate.check import check_object

GATEWAY = {"virtualGateways": [{"name": "edge"}]}
REDIRECT = {"redirect": {"hostRedirect": "b.example"}}
TO_WEB = {"destinations": [{"ref": {"name": "web"}}]}


def refusals(spec: dict[str, Any]) -> list[tuple[str, str]]:
    key = ObjectKey("networking.gloo.solo.io/RouteTable", "east", "shop", "web")
    obj, problems = decode(key, json.dumps({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}).encode())
    assert problems == ()
    return [(p.path, p.message) for p in check_object(key, obj) if p.severity is Severity.INVALID]


def table(*http: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"hosts": ["a.example"], **({"http": list(http)} if http else {}), **spec}


@pytest.mark.spec("R-46")
@pytest.mark.parametrize(
    "host",
    [
        "bar.*.com",
        "foo.*",
        "a..b",
        "-a.b",
        "a-.b",
        "1.2.3",
        "",
        "*.",
        "a b",
        "a" * 64 + ".io",
        ".".join(["a" * 31] * 8) + "a",
    ],
)
def test_an_invalid_host_is_refused_with_its_name(host: str) -> None:
    ((path, message),) = refusals(table(REDIRECT, hosts=["ok.example", host]))
    assert path == "spec.hosts[1]"
    assert message.startswith(f'hosts: "{host}": ')


@pytest.mark.spec("R-46")
@pytest.mark.parametrize(
    "host",
    [
        "*-x.a.io",
        "a.io.",
        "*.foo.com",
        "*bar.foo.com",
        "localhost",
        "A.Example",
        "a" * 63 + ".io",
        ".".join(["a" * 31] * 8),
    ],
)
def test_a_valid_host_is_accepted(host: str) -> None:
    assert refusals(table(REDIRECT, hosts=[host])) == []


def test_any_host_needs_a_gateway() -> None:
    assert refusals(table(REDIRECT, hosts=["*"], **GATEWAY)) == []
    assert refusals(table(REDIRECT, hosts=["*"])) == [("spec.hosts[0]", 'hosts: "*" needs virtualGateways')]


@pytest.mark.spec("R-108")
def test_a_tcp_route_rewrites_nothing() -> None:
    rewrites = {"pathRewrite": "/x", "hostRewrite": "b.example"}
    refused = refusals(table(tcp=[{"forwardTo": {**TO_WEB, **rewrites}}]))
    assert [path for path, _ in refused] == ["spec.tcp[0].forwardTo.pathRewrite", "spec.tcp[0].forwardTo.hostRewrite"]


@pytest.mark.spec("R-133")
@pytest.mark.parametrize(
    ("labels", "fine"),
    [
        ({"route": "ratings"}, True),
        ({"a.b/c": ""}, True),
        ({"": "x"}, False),
        ({"-a": "x"}, False),
        ({"a": "x" * 63}, True),
        ({"a": "x" * 64}, False),
        ({"/a": "x"}, False),
    ],
)
def test_route_labels_follow_kubernetes(labels: dict[str, str], fine: bool) -> None:
    refused = refusals(table({**REDIRECT, "labels": labels}))
    assert [path for path, _ in refused] == ([] if fine else ["spec.http[0].labels"])


def test_sidecars_are_selected_by_labels_only() -> None:
    chosen = {"labels": {"app": "a"}, "namespace": "shop"}
    assert [path for path, _ in refusals(table(REDIRECT, workloadSelectors=[{"selector": chosen}]))] == [
        "spec.workloadSelectors[0].selector.namespace"
    ]


def test_references_need_a_name() -> None:
    spec = table({"forwardTo": {"destinations": [{"ref": {"namespace": "shop"}}]}}, virtualGateways=[{}])
    assert {path for path, _ in refusals(spec)} == {
        "spec.virtualGateways[0].name",
        "spec.http[0].forwardTo.destinations[0].ref.name",
    }
