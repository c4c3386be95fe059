"""A translator over a few lines of YAML: two clusters with a gateway each, and whatever objects a test adds."""

from __future__ import annotations

from typing import Any

import yaml

from fingerpost.objects import ObjectKey
from mgmt.explain.answer import Explanation, GatewayAnswer
from mgmt.explain.route import explain_url
from mgmt.translate.translator import Translator, translate
from tests.plain_world import HOME, PLACE, entry

NET = "networking.gloo.solo.io/v2"
CLUSTER = """
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Namespace, metadata: {name: gw}}
- apiVersion: v1
  kind: Service
  metadata: {name: cart, namespace: shop, labels: {app: cart}}
  spec: {ports: [{name: http, port: 8000, targetPort: 8080}], selector: {app: cart}}
- apiVersion: fingerpost.dev/v1
  kind: ServiceFacts
  metadata: {name: cart, namespace: shop}
  spec: {readyPorts: [8000], serviceAccounts: [cart]}
- apiVersion: internal.gloo.solo.io/v2
  kind: DiscoveredGateway
  metadata: {name: ingress, namespace: gw}
  spec:
    workloadLabels: {app: gateway, istio: eastwestgateway}
    ports: [{number: 80, name: http, target: 8080}, {number: 443, name: https-edge, target: 8443},
            {number: 81, name: plain, target: 8081}, {number: 15443, name: tls, target: 15443},
            {number: 16443, name: https, target: 16443}]
    serviceType: LOAD_BALANCER
    externalAddresses: [{address: 192.0.2.9, ports: {'80': 30080}}]
    serviceAccounts: [gw]
"""
EDGE = """
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {name: edge, namespace: shop, creationTimestamp: '2024-01-01T00:00:00Z'}
  spec:
    workloads: [{selector: {labels: {app: gateway}}}]
    listeners:
    - {http: {}, port: {number: 80}}
    - http: {}
      port: {number: 443}
      tls: {mode: SIMPLE, secretName: wild}
      allowedRouteTables: [{host: '*.shop.example'}]
    - http: {}
      port: {number: 443}
      tls: {mode: SIMPLE, secretName: admin}
      allowedRouteTables: [{host: admin.shop.example}]
    - {http: {}, port: {number: 81}, httpsRedirect: true, allowedRouteTables: [{host: '*.shop.example'}]}
"""


def objects(text: str, cluster: str) -> dict[ObjectKey, bytes]:
    return dict(entry(cluster, obj) for obj in yaml.safe_load(text) or ())


def world(text: str, clusters: tuple[str, ...] = ("east", "west")) -> Translator:
    everything = objects(HOME + EDGE, "mgmt") | objects(text, "mgmt")
    for cluster in clusters:
        everything |= objects(CLUSTER, cluster)
    translator, _ = translate(PLACE, everything)
    assert not translator.failures()
    return translator


def table(name: str, hosts: list[str], http: str, created: str = "2024-01-01T00:00:00Z") -> str:
    spec: dict[str, Any] = {"hosts": hosts, "virtualGateways": [{"name": "edge"}], "http": yaml.safe_load(http)}
    metadata = {"name": name, "namespace": "shop", "creationTimestamp": created}
    return yaml.safe_dump([{"apiVersion": NET, "kind": "RouteTable", "metadata": metadata, "spec": spec}])


def ask(translator: Translator, url: str, method: str = "GET", **headers: str) -> GatewayAnswer:
    """At the gateway of cluster east."""
    return asked(translator, url, method, **headers).gateways[0]


def asked(translator: Translator, url: str, method: str = "GET", **headers: str) -> Explanation:
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return explain_url(translator, url, method, given, "east/gw/ingress")
