"""Admission rules of RouteTable and VirtualGateway: for each an object that passes and one refused, word by word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fingerpost.api.decode import decode
from fingerpost.objects import ObjectKey
from fingerpost.problems import Severity
from mgmt.translate.check import check_object

NET = "networking.gloo.solo.io"
HOSTS = {"hosts": ["a.example"]}
GATEWAY = {"virtualGateways": [{"name": "edge"}]}
REDIRECT = {"redirect": {"hostRedirect": "b.example"}}
TO_WEB = {"destinations": [{"ref": {"name": "web"}}]}
FORWARD = {"forwardTo": TO_WEB}
PORT = {"port": {"number": 443}}


def refusals(kind: str, spec: dict[str, Any]) -> list[tuple[str, str]]:
    key = ObjectKey(f"{NET}/{kind}", "east", "shop", "web")
    body = {"apiVersion": f"{NET}/v2", "kind": kind, "metadata": {"name": "web", "namespace": "shop"}, "spec": spec}
    obj, problems = decode(key, json.dumps(body).encode())
    assert problems == ()
    return [(p.path, p.message) for p in check_object(key, obj) if p.severity is Severity.INVALID]


def table(*http: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {**HOSTS, **({"http": list(http)} if http else {}), **spec}


def child(**spec: Any) -> dict[str, Any]:
    return {"http": [REDIRECT], **spec}


def gateway(listener: dict[str, Any]) -> dict[str, Any]:
    return {"listeners": [{**PORT, **listener}]}


def tls(listener: str = "http", **config: Any) -> dict[str, Any]:
    return gateway({listener: {}, "tls": config})


PAIR = {"serverCert": "/c", "privateKey": "/k"}
IF_HTTP = "If the listener type is http (the http field is set) and the tls field is "
IF_TCP = "If the listener type is tcp (the tcp field is set, or neither the tcp nor http field is set)"
APP_PROTOCOL = (
    "appProtocol must be one of: GRPC, GRPC-WEB, HTTP, HTTP_PROXY, HTTP2, HTTPS, TCP, TLS, MONGO, REDIS, or MYSQL."
)

TABLES = [
    (
        table(REDIRECT, **GATEWAY),
        child(**GATEWAY),
        "spec.virtualGateways",
        "The virtualGateways field must be empty or unset for delegated RouteTables.",
    ),
    (
        table(REDIRECT, applyToDestinations=[{}]),
        child(applyToDestinations=[{}]),
        "spec.applyToDestinations",
        "The applyToDestinations field must be empty or unset for delegated RouteTables.",
    ),
    (
        table(REDIRECT, failureMode="FREEZE_CONFIG"),
        child(failureMode="FREEZE_CONFIG"),
        "spec.failureMode",
        "The failureMode field must be empty or unset for delegated RouteTables.",
    ),
    (table(REDIRECT), table(), "spec", "At least one of http, tcp, or tls keys must be set."),
    (
        table({"forwardTo": {}}, defaultDestination={"ref": {"name": "web"}}),
        table(REDIRECT, defaultDestination={"ref": {"name": "web"}}),
        "spec.defaultDestination",
        "defaultDestination can only be set for http routes with forwardTo actions.",
    ),
    (
        table({"forwardTo": {"destinations": []}}, defaultDestination={"ref": {"name": "web"}}),
        table({"forwardTo": {"destinations": []}}),
        "spec.defaultDestination",
        "defaultDestination must be set when http forwardTo actions without destinations are specified.",
    ),
    (
        table(REDIRECT, workloadSelectors=[{"kind": "KUBE"}]),
        table(REDIRECT, workloadSelectors=[{"kind": "VM"}]),
        "spec.workloadSelectors[0].kind",
        "Selector kind must be KUBE or not set.",
    ),
    (
        table(REDIRECT, applyToDestinations=[{"kind": "SERVICE"}]),
        table(REDIRECT, applyToDestinations=[{"kind": "VIRTUAL_DESTINATION"}]),
        "spec.applyToDestinations[0].kind",
        "selector kind must be KUBE or not set",
    ),
    (
        table(tcp=[FORWARD]),
        table(tcp=[{"forwardTo": {}}]),
        "spec.tcp[0].forwardTo.destinations",
        "At least one destination must be specified.",
    ),
]

GATEWAYS = [
    (
        {"listeners": [{"http": {}, "port": {"name": "http"}}]},
        {"listeners": [{"http": {}, "port": {}}]},
        "spec.listeners[0].port",
        "Either port.number or port.name must be set.",
    ),
    (
        gateway({"tcp": {}, "appProtocol": "mysql"}),
        gateway({"tcp": {}, "appProtocol": "ORACLE"}),
        "spec.listeners[0].appProtocol",
        APP_PROTOCOL,
    ),
    (
        gateway({"http": {}, "appProtocol": "HTTPS", "tls": {"mode": "SIMPLE", "secretName": "c"}}),
        gateway({"http": {}, "appProtocol": "HTTP", "tls": {"mode": "SIMPLE", "secretName": "c"}}),
        "spec.listeners[0].appProtocol",
        IF_HTTP + "set, appProtocol must be empty or set to HTTPS.",
    ),
    (
        gateway({"http": {}, "appProtocol": "GRPC-WEB"}),
        gateway({"http": {}, "appProtocol": "HTTPS"}),
        "spec.listeners[0].appProtocol",
        IF_HTTP + "unset, appProtocol must be empty or set to GRPC, GRPC-WEB, HTTP, HTTP_PROXY, or HTTP2.",
    ),
    (
        gateway({"http": {}, "httpsRedirect": True}),
        gateway({"httpsRedirect": True}),
        "spec.listeners[0].httpsRedirect",
        IF_TCP + ", httpsRedirect must not be set.",
    ),
    (
        gateway({"tcp": {}, "appProtocol": "TLS", "tls": {}}),
        gateway({"appProtocol": "TCP", "tls": {}}),
        "spec.listeners[0].appProtocol",
        IF_TCP + " and the tls field is set, appProtocol must be empty or set to TLS.",
    ),
    (
        gateway({"appProtocol": "REDIS"}),
        gateway({"tcp": {}, "appProtocol": "HTTP"}),
        "spec.listeners[0].appProtocol",
        IF_TCP + " and the tls field is unset, appProtocol must be empty or set to TCP, MONGO, REDIS, or MYSQL.",
    ),
    (
        tls(mode="SIMPLE", files=PAIR),
        tls(mode="SIMPLE", files={"serverCert": "/c"}),
        "spec.listeners[0].tls",
        "If mode is SIMPLE, either secretName or both files.serverCert and files.privateKey must be set.",
    ),
    (
        tls(mode="MUTUAL", secretName="cert"),
        tls(mode="MUTUAL", files=PAIR),
        "spec.listeners[0].tls",
        "If mode is MUTUAL, you must either set secretName or set files and all its subfields.",
    ),
    (
        tls(mode="ISTIO_MUTUAL"),
        tls(mode="ISTIO_MUTUAL", secretName="cert"),
        "spec.listeners[0].tls.secretName",
        "If mode is ISTIO_MUTUAL, secretName must not be set.",
    ),
    (
        tls(mode="ISTIO_MUTUAL"),
        tls(mode="ISTIO_MUTUAL", files=PAIR),
        "spec.listeners[0].tls.files",
        "If mode is ISTIO_MUTUAL, files must not be set.",
    ),
    *(
        (
            tls("tcp", parameters={"minimumProtocolVersion": version, "cipherSuites": ["AES128-SHA"]}),
            tls("tcp", parameters={"minimumProtocolVersion": version}),
            "spec.listeners[0].tls.parameters.cipherSuites",
            f"If minimumProtocolVersion is {version}, cipherSuites must be set.",
        )
        for version in ("TLSv1_0", "TLSv1_1")
    ),
]

RULES = [("RouteTable", *case) for case in TABLES] + [("VirtualGateway", *case) for case in GATEWAYS]


@pytest.mark.spec("R-183", "R-184", "R-18", "R-19", "R-20", "R-34", "R-127", "R-160")
@pytest.mark.parametrize(("kind", "good", "bad", "path", "message"), RULES, ids=[f"{r[0]}-{r[4][:70]}" for r in RULES])
def test_the_rule_passes_one_and_refuses_the_other(
    kind: str, good: dict[str, Any], bad: dict[str, Any], path: str, message: str
) -> None:
    assert refusals(kind, good) == []
    assert refusals(kind, bad) == [(path, message)]


def test_absent_destinations_cost_the_route_only() -> None:
    """The API rule looks at a list that is written down as empty; an absent one is left to the translation."""
    assert refusals("RouteTable", table({"forwardTo": {"pathRewrite": "/x"}})) == []


LIMITS = [
    ("RouteTable", table(*[REDIRECT] * 10_000), table(*[REDIRECT] * 10_001), "spec.http"),
    ("RouteTable", table(tcp=[FORWARD] * 10_000), table(tcp=[FORWARD] * 10_001), "spec.tcp"),
    ("RouteTable", table(tls=[FORWARD] * 10_000), table(tls=[FORWARD] * 10_001), "spec.tls"),
    (
        "RouteTable",
        table(REDIRECT, workloadSelectors=[{}] * 10_000),
        table(REDIRECT, workloadSelectors=[{}] * 10_001),
        "spec.workloadSelectors",
    ),
    (
        "RouteTable",
        table({"forwardTo": {"destinations": TO_WEB["destinations"] * 100}}),
        table({"forwardTo": {"destinations": TO_WEB["destinations"] * 101}}),
        "spec.http[0].forwardTo.destinations",
    ),
    (
        "RouteTable",
        table(tcp=[{"forwardTo": {"destinations": TO_WEB["destinations"] * 100}}]),
        table(tcp=[{"forwardTo": {"destinations": TO_WEB["destinations"] * 101}}]),
        "spec.tcp[0].forwardTo.destinations",
    ),
    (
        "RouteTable",
        table({"matchers": [{"port": 65535}], **REDIRECT}),
        table({"matchers": [{"port": 65536}], **REDIRECT}),
        "spec.http[0].matchers[0].port",
    ),
    (
        "RouteTable",
        table({"directResponse": {"status": 100}}),
        table({"directResponse": {"status": 99}}),
        "spec.http[0].directResponse.status",
    ),
    (
        "RouteTable",
        table({"directResponse": {"status": 599}}),
        table({"directResponse": {"status": 600}}),
        "spec.http[0].directResponse.status",
    ),
    ("VirtualGateway", gateway({"http": {}}), {"listeners": []}, "spec.listeners"),
    (
        "VirtualGateway",
        gateway({"http": {}, "port": {"number": 65535}}),
        gateway({"http": {}, "port": {"number": 65536}}),
        "spec.listeners[0].port.number",
    ),
    (
        "VirtualGateway",
        gateway({"http": {}, "appProtocol": "HTTP_PROXY"}),
        gateway({"http": {}, "appProtocol": "HTTP_PROXY2"}),
        "spec.listeners[0].appProtocol",
    ),
]


@pytest.mark.spec("R-183")
@pytest.mark.parametrize(
    ("kind", "good", "bad", "path"), LIMITS, ids=[f"{one[0]}-{one[3]}-{i}" for i, one in enumerate(LIMITS)]
)
def test_the_limit_is_where_the_api_draws_it(kind: str, good: dict[str, Any], bad: dict[str, Any], path: str) -> None:
    assert refusals(kind, good) == []
    assert [where for where, _ in refusals(kind, bad)] == [path]


@pytest.mark.spec("R-96")
def test_a_body_of_one_mebibyte_passes_and_one_byte_more_is_refused() -> None:
    def with_body(body: str) -> dict[str, Any]:
        return table({"directResponse": {"status": 200, "body": body}})

    assert refusals("RouteTable", with_body("é" * 524_288)) == []
    assert refusals("RouteTable", with_body("é" * 524_288 + "x")) == [
        ("spec.http[0].directResponse.body", "has 1048577 bytes, at most 1048576 are allowed")
    ]


def exclude(first: str, second: str) -> str:
    return f"{first} and {second} are set together, but they exclude each other; keep one of them"


ONE_OFS = [
    (table({**FORWARD, **REDIRECT}), "spec.http[0]", exclude("forwardTo", "redirect")),
    (
        table({"forwardTo": {**TO_WEB, "pathRewrite": "/x", "regexRewrite": {"substitution": "y"}}}),
        "spec.http[0].forwardTo",
        exclude("pathRewrite", "regexRewrite"),
    ),
    (
        table({"forwardTo": {**TO_WEB, "hostRewrite": "b.example", "autoHostRewrite": True}}),
        "spec.http[0].forwardTo",
        exclude("hostRewrite", "autoHostRewrite"),
    ),
    (
        table({"matchers": [{"uri": {"exact": "/a", "prefix": "/b"}}], **REDIRECT}),
        "spec.http[0].matchers[0].uri",
        exclude("exact", "prefix"),
    ),
    (
        table({"forwardTo": {"destinations": [{"ref": {"name": "web"}, "awsLambda": {}}]}}),
        "spec.http[0].forwardTo.destinations[0]",
        exclude("ref", "awsLambda"),
    ),
    (
        table({"graphql": {"schema": {"name": "a"}, "stitchedSchema": {"name": "b"}}}),
        "spec.http[0].graphql",
        exclude("schema", "stitchedSchema"),
    ),
]


@pytest.mark.spec("R-83")
@pytest.mark.parametrize(("spec", "path", "message"), ONE_OFS, ids=[path for _, path, _ in ONE_OFS])
def test_fields_of_a_route_that_exclude_each_other(spec: dict[str, Any], path: str, message: str) -> None:
    assert refusals("RouteTable", spec) == [(path, message)]


def test_auto_host_rewrite_false_is_the_same_as_absent() -> None:
    forward = {**TO_WEB, "hostRewrite": "b.example", "autoHostRewrite": False}
    assert refusals("RouteTable", table({"forwardTo": forward})) == []


@pytest.mark.spec("R-34", "R-35")
def test_fields_of_a_listener_that_exclude_each_other() -> None:
    secured = {"mode": "SIMPLE", "secretName": "cert"}
    path = "spec.listeners[0]"
    both = gateway({"http": {}, "httpsRedirect": True, "tls": secured})
    assert refusals("VirtualGateway", both) == [(path, exclude("tls", "httpsRedirect"))]
    assert refusals("VirtualGateway", gateway({"http": {}, "httpsRedirect": False, "tls": secured})) == []
    assert refusals("VirtualGateway", gateway({"httpsRedirect": False})) == []
    assert refusals("VirtualGateway", gateway({"http": {}, "tcp": {}})) == [(path, exclude("http", "tcp"))]
    twice = tls(mode="SIMPLE", secretName="cert", files=PAIR)
    assert refusals("VirtualGateway", twice) == [(f"{path}.tls", exclude("secretName", "files"))]
