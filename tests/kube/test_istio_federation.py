"""A Service of another cluster by its federated name: a pod of `west` answers what is asked at the gateway of `east`.
Each port of the Service is told apart by the east-west gateway of `west`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from listener_certificates import issue

from tests.fleet.fleet_network import backend, until
from tests.kube.istio_pair import ADMIN, EAST_POD, POD, SNI, WEST_POD, emitted, running_pair
from tests.kube.test_istio_fleet import CART
from tests.kube.workload_certificates import sidecar

USERS = """
- apiVersion: admin.gloo.solo.io/v2
  kind: WorkspaceSettings
  metadata: {name: all, namespace: shop}
  spec:
    options:
      federation: {enabled: true, serviceSelector: [{labels: {app: cart}}]}
      virtualDestClientMode: {MODE: {}}
- apiVersion: networking.gloo.solo.io/v2
  kind: RouteTable
  metadata: {name: www, namespace: shop}
  spec:
    hosts: [www.shop.example]
    virtualGateways: [{name: edge, namespace: gw, cluster: mgmt}]
    http:
    - matchers: [{uri: {prefix: /admin}}]
      forwardTo: {destinations: [{ref: {name: cart, cluster: west}, port: {number: 9000}}]}
    - forwardTo: {destinations: [{ref: {name: cart, cluster: west}, port: {number: 8000}}]}
"""


@pytest.mark.spec("D-23", "D-48", "D-51")
@pytest.mark.parametrize("mode", [SNI, "tlsTermination"])
async def test_a_pod_of_another_cluster_answers_by_its_federated_name(tmp_path: Path, mode: str) -> None:
    """Behind a gateway that ends TLS ports are told apart by the server name that the caller sends."""
    objects, limits = emitted(USERS.replace("MODE", mode), mode)
    assert not limits
    ca = issue("root")
    tls = sidecar(tmp_path, CART, ca) if mode == SNI else None
    async with (
        running_pair(tmp_path, objects, ca, mode) as pair,
        backend(EAST_POD, "east", POD, tls),
        backend(WEST_POD, "west", POD, tls),
        backend(WEST_POD, "west admin", ADMIN, tls),
    ):
        for path, text in (("/", "200 west"), ("/admin", "200 west admin")):
            await until(lambda path=path, text=text: pair.answers(text, path), 30, pair.said)
            assert {await pair.answer(path) for _ in range(20)} == {text}
