"""Two Service ports that lead to one listening port: a matcher on either holds there, for nothing tells them apart."""

from __future__ import annotations

import pytest
import yaml
from envoy.config.route.v3 import route_pb2
from fleet_of_shops import shops

from fingerpost.relay.pieces import join
from mgmt.translate.translator import translate
from tests.plain_world import PLACE, entry

_MORE = """
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {name: other, namespace: shop}
  spec: {workloads: [{selector: {labels: {app: gateway}}}], listeners: [{http: {}, port: {number: 81}, HOST}]}
- apiVersion: networking.gloo.solo.io/v2
  kind: RouteTable
  metadata: {name: www, namespace: shop}
  spec:
    hosts: [www.shop.example]
    virtualGateways: [{name: edge}, {name: other}]
    http:
    - {name: first, matchers: [{port: 80, uri: {prefix: /80}}], directResponse: {status: 280}}
    - {name: second, matchers: [{port: 81, uri: {prefix: /81}}], directResponse: {status: 281}}
    - {name: third, matchers: [{port: 443, uri: {prefix: /443}}], directResponse: {status: 283}}
"""


@pytest.mark.spec("R-79")
def test_matchers_on_either_port_hold_on_the_listening_port_they_share() -> None:
    objects = shops(0)
    text = _MORE.replace("HOST", "allowedRouteTables: [{host: '*.shop.example'}]")
    objects |= dict(entry("mgmt", obj) for obj in yaml.safe_load(text))
    for key, body in list(objects.items()):
        if key.kind == "DiscoveredGateway":
            objects[key] = body.replace(b'"ports":[', b'"ports":[{"number":81,"target":8080},')
    _, turn = translate(PLACE, objects)
    (changes,) = turn.classes.values()
    pieces = changes["routes", "http.8080"]
    assert pieces is not None
    (host,) = route_pb2.RouteConfiguration.FromString(join(pieces)).virtual_hosts
    assert [route.direct_response.status for route in host.routes] == [280, 281]
