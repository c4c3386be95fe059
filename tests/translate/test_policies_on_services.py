"""A policy on a Service shapes it at both data planes: shown with OutlierDetectionPolicy, which here takes Services
alone, whatever it takes otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
import yaml
from envoy.config.cluster.v3 import cluster_pb2

from fingerpost.api.common import DestinationKind
from fingerpost.objects import ObjectKey, canonical, trim, type_of
from fingerpost.relay.pieces import join
from mgmt.explain import destination as explained
from mgmt.translate.graph import policies
from mgmt.translate.policy import DESTINATION_POLICIES
from mgmt.translate.translator import Translator
from tests.istio_world import with_istio_gateways
from tests.plain_world import PLACE

OWN, REMOTE = "outbound|8000||cart.shop.svc.cluster.local", "outbound|8000||cart.shop.svc.west.global"
MGMT = """
- {apiVersion: v1, kind: Namespace, metadata: {name: gloo-mesh}}
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Namespace, metadata: {name: gw}}
- apiVersion: admin.gloo.solo.io/v2
  kind: Workspace
  metadata: {name: shop, namespace: gloo-mesh}
  spec: {workloadClusters: [{name: '*', namespaces: [{name: shop}]}]}
- apiVersion: admin.gloo.solo.io/v2
  kind: Workspace
  metadata: {name: gateways, namespace: gloo-mesh}
  spec: {workloadClusters: [{name: '*', namespaces: [{name: gw}]}]}
- {apiVersion: admin.gloo.solo.io/v2, kind: KubernetesCluster, metadata: {name: east, namespace: gloo-mesh}}
- {apiVersion: admin.gloo.solo.io/v2, kind: KubernetesCluster, metadata: {name: west, namespace: gloo-mesh}}
- apiVersion: admin.gloo.solo.io/v2
  kind: WorkspaceSettings
  metadata: {name: shop, namespace: shop}
  spec: {exportTo: [{workspaces: [{name: gateways}]}]}
- apiVersion: admin.gloo.solo.io/v2
  kind: WorkspaceSettings
  metadata: {name: gateways, namespace: gw}
  spec:
    importFrom: [{workspaces: [{name: shop}]}]
    options: {federation: {enabled: true, serviceSelector: [{cluster: west}]}}
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {name: edge, namespace: gw}
  spec: {listeners: [{http: {}, port: {number: 80}}]}
- apiVersion: networking.gloo.solo.io/v2
  kind: RouteTable
  metadata: {name: www, namespace: shop}
  spec:
    hosts: [www.shop.example]
    virtualGateways: [{name: edge, namespace: gw, cluster: mgmt}]
    http:
    - matchers: [{uri: {prefix: /west}}]
      forwardTo: {destinations: [{ref: {name: cart, cluster: west}, port: {number: 8000}}]}
    - forwardTo: {destinations: [{ref: {name: cart, cluster: east}, port: {number: 8000}}]}
"""
CLUSTER = """
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Namespace, metadata: {name: gw}}
- apiVersion: v1
  kind: Service
  metadata: {name: cart, namespace: shop, labels: {app: cart}}
  spec: {ports: [{name: http, port: 8000, targetPort: 8080}], selector: {app: cart}}
"""
GATEWAY = """
- apiVersion: internal.gloo.solo.io/v2
  kind: DiscoveredGateway
  metadata: {name: ingress, namespace: gw}
  spec: {workloadLabels: {app: gateway}, ports: [{number: 80, name: http2, target: 8080}]}
"""


def policy(namespace: str, name: str, errors: int, created: str, more: str = "") -> str:
    return f"""
- apiVersion: resilience.policy.gloo.solo.io/v2
  kind: OutlierDetectionPolicy
  metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: '{created}'}}
  spec: {{config: {{consecutiveErrors: {errors}{more}}}}}
"""


def key_of(cluster: str, name: str, namespace: str = "shop") -> ObjectKey:
    return ObjectKey("resilience.policy.gloo.solo.io/OutlierDetectionPolicy", cluster, namespace, name)


@pytest.fixture(autouse=True)
def _services_are_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = tuple(kind._replace(supported=(DestinationKind.SERVICE,)) for kind in DESTINATION_POLICIES)
    monkeypatch.setattr(policies, "DESTINATION_POLICIES", kinds)
    monkeypatch.setattr(explained, "DESTINATION_POLICIES", kinds)


class World:
    def __init__(self, *more: str, istio: bool = False) -> None:
        self.translator = Translator(PLACE)
        self._istio = istio
        objects = [*read("mgmt", MGMT, *more), *read("east", CLUSTER, GATEWAY), *read("west", CLUSTER)]
        self.feed(objects)

    def feed(self, objects: Iterable[tuple[ObjectKey, bytes | None]]) -> None:
        self.translator.feed(with_istio_gateways(objects) if self._istio else objects)
        self.translator.turn()
        assert not self.translator.failures()

    def errors_at_envoy(self) -> dict[str, int]:
        """Envoy cluster -> after how many errors an endpoint is taken out."""
        out = {}
        for destination, built in self.translator.destinations.built.items.items():
            found = cluster_pb2.Cluster.FromString(join(built.cluster))
            if found.HasField("outlier_detection"):
                out[destination.cluster_name] = found.outlier_detection.consecutive_5xx.value
        return out

    def errors_at_istio(self) -> dict[str, int]:
        out = {}
        for key, obj in self.translator.istio.objects.items.items():
            if key.kind == "DestinationRule":
                spec = json.loads(obj.body)["spec"]
                for port in spec.get("trafficPolicy", {}).get("portLevelSettings", ()):
                    if "outlierDetection" in port:
                        name = f"outbound|{port['port']['number']}||{spec['host']}"
                        out[name] = port["outlierDetection"]["consecutive5xxErrors"]
        return out


def read(cluster: str, *texts: str) -> list[tuple[ObjectKey, bytes | None]]:
    out: list[tuple[ObjectKey, bytes | None]] = []
    for obj in (obj for text in texts for obj in yaml.safe_load(text)):
        type_, meta = type_of(obj["apiVersion"], obj["kind"]), obj["metadata"]
        out.append((ObjectKey(type_, cluster, meta.get("namespace", ""), meta["name"]), canonical(trim(type_, obj))))
    return out


@pytest.mark.spec("P-30")
def test_the_policy_of_the_owner_holds_where_the_service_is_imported_and_where_it_is_federated() -> None:
    mine, theirs = policy("shop", "mine", 2, "2026-01-02"), policy("gw", "theirs", 9, "2026-01-01")
    assert World(mine, theirs).errors_at_envoy() == {OWN: 2, REMOTE: 2}
    assert World(mine, theirs, istio=True).errors_at_istio() == {OWN: 2, REMOTE: 2}
    assert World(theirs).errors_at_envoy() == {}
    assert World(theirs, istio=True).errors_at_istio() == {}


@pytest.mark.spec("P-16", "P-17")
def test_the_older_policy_has_a_service_whole_and_the_next_one_follows() -> None:
    old, young = policy("shop", "old", 3, "2026-01-01"), policy("shop", "young", 4, "2026-01-02")
    for istio in (False, True):
        world = World(old, young, istio=istio)
        errors = world.errors_at_istio if istio else world.errors_at_envoy
        assert errors() == {OWN: 3, REMOTE: 3}
        lost = world.translator.status(key_of("mgmt", "young"))
        assert lost is not None
        assert (lost.approval.value, "conflicts with existing policy" in lost.message) == ("FAILED", True)
        assert lost.counts["numSelectedDestinationPorts"] == 2
        world.feed([(key_of("mgmt", "old"), None)])
        assert errors() == {OWN: 4, REMOTE: 4}


def test_a_rule_without_a_policy_goes() -> None:
    world = World(policy("shop", "mine", 2, "2026-01-02"), istio=True)
    rules = [key for key in world.translator.istio.objects.items if key.kind == "DestinationRule"]
    assert [key.namespace for key in rules] == ["gw", "gw"]
    world.feed([(key_of("mgmt", "mine"), None)])
    left = {key.name for key in world.translator.istio.objects.items if key.kind == "DestinationRule"}
    assert left == {"cart-shop-svc-west-global-shop-gateways"}, "of the federated name its TLS stays"


def test_what_istio_cannot_be_told_is_said_of_the_policy() -> None:
    """A Service has no status, and WorkspaceSettings no such field."""
    world = World(policy("shop", "mine", 2, "2026-01-02", ", baseEjectionTime: 400s"), istio=True)
    status = world.translator.status(key_of("mgmt", "mine"))
    assert status is not None
    assert status.approval.value == "WARNING"
    assert status.message.split("; ") == [
        text
        for cluster in ("east", "west")
        for text in (
            f"spec.config.baseEjectionTime: 400s counts as 300s for Service shop/cart in cluster {cluster} at Istio "
            "gateways, which have no field for the longest ejection",
            "write 300s or less",
        )
    ]
    settings = world.translator.status(ObjectKey("admin.gloo.solo.io/WorkspaceSettings", "mgmt", "gw", "gateways"))
    assert settings is not None
    assert "baseEjectionTime" not in settings.message
    world.feed(read("mgmt", policy("shop", "mine", 2, "2026-01-02", ", baseEjectionTime: 300s")))
    status = world.translator.status(key_of("mgmt", "mine"))
    assert status is not None
    assert (status.approval.value, status.message) == ("ACCEPTED", "")
