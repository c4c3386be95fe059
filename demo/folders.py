"""The clusters as folders: the examples applied, and edits made the way an editor makes them (write, then rename)."""

from __future__ import annotations

from pathlib import Path

from demo.certificates import ShopAuthority
from demo.ground import EXAMPLES, Ground

_POD = """---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{app: {app}}}}}
spec:
  serviceAccountName: {app}
  nodeName: {cluster}-node-1
  containers: [{{name: {app}}}]
status:
  podIP: {address}
  phase: Running
  conditions: [{{type: Ready, status: 'True'}}]
"""
_ENDPOINT = """- addresses: [{address}]
  conditions: {{ready: true}}
  nodeName: {cluster}-node-1
  targetRef: {{kind: Pod, name: {name}, namespace: shop}}
"""


class Manifest:
    """One file of a cluster's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = path.read_text()

    @property
    def text(self) -> str:
        return self._text

    def write(self, text: str) -> None:
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.write_text(text)
        fresh.rename(self.path)

    def put_back(self) -> None:
        self.write(self._text)


def apply_examples(ground: Ground) -> None:
    """What `kubectl apply` would be with Kubernetes."""
    authority = ShopAuthority()
    authority.write(ground.authority)
    for cluster in ground.clusters:
        target = ground.folder(cluster)
        target.mkdir(parents=True)
        for source in sorted((EXAMPLES / cluster).glob("*.yaml")):
            (target / source.name).write_text(ground.address(source.read_text()))
        (target / "secrets.yaml").write_text(authority.secrets())
        (target / "secrets.yaml").chmod(0o600)


def enroll(ground: Ground, cluster: str) -> None:
    """What a person copies from the management cluster: the relay's root, and the token for the first certificate."""
    for file in ("relay-root-tls-secret/ca.crt", "relay-identity-token-secret/token"):
        target = ground.state / f"agent-{cluster}" / "secrets" / file
        target.parent.mkdir(parents=True, mode=0o700)
        target.write_bytes((ground.state / "mgmt" / "secrets" / file).read_bytes())
        target.chmod(0o600)


def manifest(ground: Ground, cluster: str, name: str) -> Manifest:
    return Manifest(ground.folder(cluster) / f"{name}.yaml")


def none_ready(text: str) -> str:
    """The manifests of an application whose pods all fail their readiness checks."""
    return text.replace("conditions: {ready: true}", "conditions: {ready: false}")


def with_pod(text: str, cluster: str, app: str, name: str, address: str) -> str:
    """The manifests of an application with one more pod. The slice is the last document."""
    pod = _POD.format(cluster=cluster, app=app, name=name, address=address)
    head, separator, slice_ = text.rpartition("---\n")
    return head + pod + separator + slice_ + _ENDPOINT.format(cluster=cluster, name=name, address=address)
