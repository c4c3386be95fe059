"""An Istio gateway as a pod: an Envoy with an address of its own that asks istiod over the network, as the account of
its pod. What Istio's own image has beside Envoy (the agent that renews certificates) stands outside of the pod.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.conformance.listeners.listener_certificates import Certificate
from tests.kube.cluster import Cluster
from tests.kube.istiod import Istiod, Proxy, gateway_bootstrap
from tests.kube.kube_client import Object
from tests.kube.release import proxy_pod

ACCOUNT = "gateway"
MESH = {"enableAutoMtls": True}  # only then gateways speak TLS with the gateways of other clusters
ENVIRONMENT = {"XDS_AUTH_PLAINTEXT": "true"}  # or it hands certificates to nobody
_TOKEN, _ADDRESS, _NAME = "@TOKEN@", "@ADDRESS@", "@NAME@"
_TOKENS = "/var/run/secrets/tokens"
_START = (
    f'sed "s|{_TOKEN}|$(cat {_TOKENS}/istio-token)|; s|{_ADDRESS}|$POD_IP|g; s|{_NAME}|$HOSTNAME|g" '
    "/etc/envoy/envoy.json > /tmp/envoy.json && "
    "exec envoy -c /tmp/envoy.json --use-dynamic-base-id --concurrency 1 -l warning"
)


class Mesh(NamedTuple):
    """What a gateway's pod has to know. `sds_port` is where it gets its workload certificate."""

    istiod: Istiod
    sds_port: int
    region: str


def istio_pod(
    mesh: Mesh, where: str, service: str, labels: Mapping[str, str], account: str = ACCOUNT
) -> tuple[Object, Object]:
    """A ConfigMap and the spec of a pod behind the gateway Service."""
    proxy = Proxy(_ADDRESS, labels, where, _TOKEN, mesh.sds_port, mesh.region, _NAME, account)
    container: Object = {
        "name": "istio-proxy",
        "image": "proxyv2",
        "command": ["sh", "-c", _START],
        "args": ["proxy", "router"],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "volumeMounts": [{"name": "istio-token", "mountPath": _TOKENS}],
    }
    config, spec = proxy_pod(where, service, gateway_bootstrap(mesh.istiod, proxy), container, account)
    token = {"audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token"}
    spec["volumes"].append({"name": "istio-token", "projected": {"sources": [{"serviceAccountToken": token}]}})
    return config, spec


def may_read_secrets(where: str) -> list[Object]:
    """The Role of Istio's own chart: istiod hands a gateway only what its account may read."""
    group, name = "rbac.authorization.k8s.io", f"{ACCOUNT}-sds"
    metadata = {"name": name, "namespace": where}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]
    return [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": where}],
        },
    ]


async def root_of(management: Cluster, where: str, name: str) -> Certificate:
    """The root of the plain Envoy gateways, key included: a mesh that has the same one trusts them, and they it."""
    answer = await management.kube.http.get(f"/api/v1/namespaces/{where}/secrets/{name}")
    assert answer.is_success, answer.text
    data = {key: base64.b64decode(value) for key, value in answer.json()["data"].items()}
    key = load_pem_private_key(data["tls.key"], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Certificate(x509.load_pem_x509_certificate(data["tls.crt"]), key)
