"""Two clusters with Istio: a request at the gateway of one reaches pods of the other through its east-west gateway."""

from __future__ import annotations

from pathlib import Path

import pytest
from listener_certificates import issue

from tests.fleet.fleet_network import backend, until
from tests.kube.istio_pair import EAST_POD, POD, SNI, WEST_POD, emitted, running_pair
from tests.kube.workload_certificates import sidecar

CART = "spiffe://cluster.local/ns/shop/sa/cart"
USERS = """
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualDestination
  metadata: {name: cart, namespace: shop}
  spec:
    hosts: [cart.shop.example]
    services: [{labels: {app: cart}}]
    ports: [{number: 80, protocol: HTTP, targetPort: {name: http}}]
    clientMode: {MODE: {}}
- apiVersion: networking.gloo.solo.io/v2
  kind: RouteTable
  metadata: {name: www, namespace: shop}
  spec:
    hosts: [www.shop.example]
    virtualGateways: [{name: edge, namespace: gw, cluster: mgmt}]
    http: [{forwardTo: {destinations: [{ref: {name: cart}, kind: VIRTUAL_DESTINATION, port: {number: 80}}]}}]
- apiVersion: resilience.policy.gloo.solo.io/v2
  kind: OutlierDetectionPolicy
  metadata: {name: quick, namespace: shop}
  spec:
    applyToDestinations: [{kind: VIRTUAL_DESTINATION}]
    config: {consecutiveErrors: 1, interval: 1s, baseEjectionTime: 30s}
"""


@pytest.mark.spec("D-24", "D-59")
@pytest.mark.parametrize("mode", [SNI, "tlsTermination"])
async def test_another_cluster_answers_when_the_own_pods_are_gone(tmp_path: Path, mode: str) -> None:
    objects, limits = emitted(USERS.replace("MODE", mode), mode)
    assert not limits
    ca = issue("root")
    tls = sidecar(tmp_path, CART, ca) if mode == SNI else None
    async with running_pair(tmp_path, objects, ca, mode) as pair, backend(WEST_POD, "west", POD, tls):
        async with backend(EAST_POD, "east", POD, tls):
            await until(lambda: pair.answers("200 east"), 30, pair.said)
            assert {await pair.answer() for _ in range(20)} == {"200 east"}, "its own pods first"
        await until(lambda: pair.answers("200 west"), 30, pair.said)
        assert {await pair.answer() for _ in range(20)} == {"200 west"}
