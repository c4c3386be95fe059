"""Which apiVersions and kinds are taken for a slip of the pen, and which are somebody else's business."""

from __future__ import annotations

import pytest

from fingerpost.api.kinds import KINDS
from fingerpost.api.likeness import did_you_mean, doubt

_NET = "networking.gloo.solo.io"
SLIPS = {
    ("networging.gloo.solo/v2", "RouteTable"): ("apiVersion", "networging.gloo.solo/v2", f'"{_NET}/v2"?'),
    ("networking.gloo.solo.io/v1", "RouteTable"): ("apiVersion", f'"{_NET}/v2"', f'not as "{_NET}/v1"'),
    ("networking.gloo.solo.io/v2", "RouteTabel"): ("kind", '"RouteTabel"', "did you mean RouteTable?"),
    ("networking.gloo.solo.io/v2", "routetable"): ("kind", '"routetable"', "did you mean RouteTable?"),
    ("networking.gloo.solo.io/v2", "Deployment"): ("kind", '"Deployment"', 'belongs to "apps/v1"'),
    ("networking.gloo.solo.io/v2", "Zebra"): ("kind", '"Zebra"', "remove the object"),
    ("networking.gloo.solo.io/v2", "Workspace"): ("kind", '"Workspace"', 'belongs to "admin.gloo.solo.io/v2"'),
    ("networking.gloo.io/v2", "RouteTabel"): (
        "apiVersion",
        "networking.gloo.io/v2",
        f'"{_NET}/v2" and kind RouteTable?',
    ),
    ("gloo.solo.io/v2", "VirtualGateway"): ("apiVersion", "gloo.solo.io/v2", f'"{_NET}/v2"?'),
    ("security.policy.gloo.solo.io/v1", "JWTPolicy"): ("apiVersion", "policy.gloo.solo.io/v2", "v1"),
    ("v2", "RouteTable"): ("apiVersion", '"v2"', f'"{_NET}/v2"?'),
    ("v1", "Servcie"): ("kind", '"Servcie"', "did you mean Service?"),
    ("discovery.k8s/v1", "EndpointSlice"): ("apiVersion", "discovery.k8s/v1", '"discovery.k8s.io/v1"?'),
}
FOREIGN = """
v1 Service
v1 ReplicationController
v1 Config
v1 Template
v1 Route
apps/v1 Deployment
apps/v1beta1 Deployment
batch/v1 Job
policy/v1 PodDisruptionBudget
extensions/v1beta1 Ingress
networking.k8s.io/v1 Ingress
networking.k8s.io/v1 NetworkPolicy
networking.istio.io/v1 VirtualService
networking.istio.io/v1 Gateway
security.istio.io/v1 AuthorizationPolicy
extensions.istio.io/v1alpha1 WasmPlugin
gateway.networking.k8s.io/v1 HTTPRoute
networking.gke.io/v1 ManagedCertificate
cert-manager.io/v1 Certificate
appmesh.k8s.aws/v1beta2 VirtualGateway
ec2.services.k8s.aws/v1alpha1 RouteTable
ec2.aws.crossplane.io/v1beta1 RouteTable
app.terraform.io/v1alpha2 Workspace
kuma.io/v1alpha1 Mesh
kustomize.config.k8s.io/v1beta1 Kustomization
discovery.k8s.io/v1beta1 EndpointSlice
coordination.k8s.io/v1 Lease
gateway.solo.io/v1 VirtualService
gateway.gloo.solo.io/v1alpha1 GatewayParameters
gloo.solo.io/v1 Upstream
monitoring.coreos.com/v1 ServiceMonitor
example.com/v2 Policy
"""


@pytest.mark.parametrize("written", SLIPS, ids="/".join)
def test_a_slip_is_named_with_what_was_probably_meant(written: tuple[str, str]) -> None:
    path, *words = SLIPS[written]
    found = doubt(*written)
    assert found is not None
    assert found.path == path
    for word in words:
        assert word in found.message


@pytest.mark.parametrize("written", FOREIGN.strip().splitlines())
def test_what_is_foreign_stays_silent(written: str) -> None:
    assert doubt(*written.split()) is None


def test_what_is_known_stays_silent() -> None:
    assert [kind.type for kind in KINDS if doubt(kind.api_version, kind.kind)] == []


def test_only_what_is_near_is_offered() -> None:
    assert did_you_mean("ingres", ("gw/ingress", "ingress")) == "; did you mean ingress?"
    assert did_you_mean("zzz", ("ingress",)) == ""
