"""The small rules: ports in range, names that must be there and differ, one object per rule with only that mistake."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fingerpost.api.base import ObjectMeta
from fingerpost.api.common import PortSelector
from fingerpost.api.decode import decode
from fingerpost.api.kinds import find
from fingerpost.api.networking.virtual_gateway import HTTPServer, Listener, VirtualGateway, VirtualGatewaySpec
from fingerpost.objects import ObjectKey
from fingerpost.problems import Severity
from mgmt.translate.check import check_object

BIG = {"number": 65536}
WEB = {"ref": {"name": "web"}}
REDIRECT = {"redirect": {"hostRedirect": "b.example"}}


def table(**spec: Any) -> dict[str, Any]:
    return {"hosts": ["a.example"], "http": [REDIRECT], **spec}


def forward(**action: Any) -> list[dict[str, Any]]:
    return [{"forwardTo": {"destinations": [WEB], **action}}]


def external(**port: Any) -> dict[str, Any]:
    return {"hosts": ["a.example"], "ports": [{"number": 80, "protocol": "HTTP", **port}]}


def listener(**fields: Any) -> dict[str, Any]:
    return {"listeners": [{"http": {}, "port": {"number": 80}, **fields}]}


def gateways(**entry: Any) -> dict[str, Any]:
    return {"options": {"eastWestGateways": [entry]}}


CASES = [
    ("rt", table(applyToDestinations=[{"port": BIG}]), "spec.applyToDestinations[0].port.number"),
    (
        "rt",
        table(http=forward(destinations=[{**WEB, "port": BIG}])),
        "spec.http[0].forwardTo.destinations[0].port.number",
    ),
    ("rt", table(http=forward(), defaultDestination={**WEB, "port": BIG}), "spec.defaultDestination.port.number"),
    ("rt", table(http=[{**REDIRECT, "matchers": [{"headers": [{}]}]}]), "spec.http[0].matchers[0].headers[0].name"),
    (
        "rt",
        table(http=[{**REDIRECT, "matchers": [{"queryParameters": [{}]}]}]),
        "spec.http[0].matchers[0].queryParameters[0].name",
    ),
    ("rt", table(tcp=[{"matchers": [{"port": 65536}], **forward()[0]}]), "spec.tcp[0].matchers[0].port"),
    ("rt", table(tls=[{"matchers": [{"port": 65536}], **forward()[0]}]), "spec.tls[0].matchers[0].port"),
    ("rt", table(tls=[{}]), "spec.tls[0].forwardTo.destinations"),
    ("rt", table(tls=forward(destinations=[{"ref": {}}])), "spec.tls[0].forwardTo.destinations[0].ref.name"),
    ("vg", listener(allowedRouteTables=[{}]), "spec.listeners[0].allowedRouteTables[0].host"),
    ("vg", listener(exposedExternalServices=[{}]), "spec.listeners[0].exposedExternalServices[0].host"),
    (
        "vd",
        {"services": [{}], "ports": [{"number": 80, "protocol": "HTTP", "targetPort": BIG}]},
        "spec.ports[0].targetPort.number",
    ),
    ("es", external(number=0), "spec.ports[0].number"),
    ("es", external(number=65536), "spec.ports[0].number"),
    ("es", external(targetPort=BIG), "spec.ports[0].targetPort.number"),
    ("es", external(egressGatewayRoutes={"portMatch": 65536}), "spec.ports[0].egressGatewayRoutes.portMatch"),
    (
        "es",
        external(egressGatewayRoutes={"virtualGatewayRefs": [{}]}),
        "spec.ports[0].egressGatewayRoutes.virtualGatewayRefs[0].name",
    ),
    (
        "es",
        {"hosts": ["a.example"], "ports": [{"number": 1, "protocol": "TCP", "name": name} for name in "ab"]},
        "spec.ports[1].number",
    ),
    ("ep", {"address": "a.example", "ports": [BIG]}, "spec.ports[0].number"),
    ("ep", {"address": "a.example", "ports": [{"name": "a", "number": n} for n in (1, 2)]}, "spec.ports[1].name"),
    ("kc", {"clusterDomain": "*.local"}, "spec.clusterDomain"),
    ("kc", {"clusterDomain": "cluster..local"}, "spec.clusterDomain"),
    (
        "OutlierDetectionPolicy",
        {"applyToDestinations": [{"kind": "VIRTUAL_DESTINATION", "port": BIG}]},
        "spec.applyToDestinations[0].port.number",
    ),
    ("OutlierDetectionPolicy", {"config": {"consecutiveGatewayErrors": 2**31}}, "spec.config.consecutiveGatewayErrors"),
    ("wss", {"options": {"federation": {"ports": [BIG]}}}, "spec.options.federation.ports[0].number"),
    ("wss", {"options": {"federation": {"hostSuffix": "*.global"}}}, "spec.options.federation.hostSuffix"),
    ("wss", gateways(port=BIG), "spec.options.eastWestGateways[0].port.number"),
    ("wss", gateways(tlsTerminationPort=BIG), "spec.options.eastWestGateways[0].tlsTerminationPort.number"),
    (
        "wss",
        gateways(hostInfoOverrides=[{"addr": "a.example", "port": 65536}]),
        "spec.options.eastWestGateways[0].hostInfoOverrides[0].port",
    ),
]


def refusals(word: str, spec: dict[str, Any]) -> list[str]:
    kind = find(word)
    key = ObjectKey(kind.type, "east", "shop", "web")
    obj, problems = decode(key, json.dumps({"metadata": {"name": "web"}, "spec": spec}).encode())
    assert problems == ()
    found = check_object(key, obj)
    assert {p.severity for p in found} <= {Severity.INVALID}
    return [p.path for p in found]


@pytest.mark.parametrize(("word", "spec", "path"), CASES, ids=[f"{word}-{path}" for word, _, path in CASES])
def test_the_mistake_is_found_at_its_field(word: str, spec: dict[str, Any], path: str) -> None:
    assert refusals(word, spec) == [path]


@pytest.mark.parametrize(
    ("word", "spec"), [("rt", table()), ("vg", listener()), ("es", external()), ("wss", gateways())]
)
def test_the_objects_have_no_other_mistake(word: str, spec: dict[str, Any]) -> None:
    assert refusals(word, spec) == []


@pytest.mark.spec("R-183")
def test_a_gateway_has_at_most_three_hundred_thousand_listeners() -> None:
    key = ObjectKey("networking.gloo.solo.io/VirtualGateway", "east", "shop", "web")
    one = Listener(http=HTTPServer(), port=PortSelector(number=80))
    for count, paths in ((300_000, []), (300_001, ["spec.listeners"])):
        many = VirtualGateway(metadata=ObjectMeta(), spec=VirtualGatewaySpec(listeners=(one,) * count))
        assert [p.path for p in check_object(key, many)] == paths
