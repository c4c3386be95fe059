"""The token of one cluster, at the management cluster (relay.md §5.3), and the server's right to read it.

A right cannot name "all Secrets whose names begin so". So each token comes with a Role that names it alone, and both go
as soon as the agent has its certificate.
"""

from __future__ import annotations

import base64
from secrets import token_urlsafe

from ctl.kube.api import Kube, Object
from ctl.kube.plane import Plane

OURS = {"app.kubernetes.io/managed-by": "fingerpost-cli"}
_RBAC = "rbac.authorization.k8s.io"


class ClusterToken:
    """Every method raises ApiFailed."""

    def __init__(self, plane: Plane, cluster: str) -> None:
        self._kube: Kube = plane.kube
        self.name, self._namespace = f"relay-identity-token-{cluster}", plane.admin_namespace
        self._key, self._account, self._release = plane.token_key, plane.account, plane.namespace
        rights = f"/apis/{_RBAC}/v1/namespaces/{self._namespace}"
        self._role, self._binding = f"{rights}/roles/{self.name}", f"{rights}/rolebindings/{self.name}"
        self._secret = f"/api/v1/namespaces/{self._namespace}/secrets/{self.name}"

    async def exists(self) -> bool:
        return await self._kube.find(self._secret) is not None

    async def ensure(self) -> str:
        """The token in base64, one that a person has made or a new one; the server may read it."""
        metadata: Object = {"name": self.name, "namespace": self._namespace, "labels": OURS}
        rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [self.name], "verbs": ["get"]}
        await self._kube.apply(
            self._role, {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}
        )
        subject = {"kind": "ServiceAccount", "name": self._account, "namespace": self._release}
        role = {"apiGroup": _RBAC, "kind": "Role", "name": self.name}
        binding: Object = {"apiVersion": f"{_RBAC}/v1", "kind": "RoleBinding", "metadata": metadata}
        await self._kube.apply(self._binding, binding | {"roleRef": role, "subjects": [subject]})
        found = ((await self._kube.find(self._secret) or {}).get("data") or {}).get(self._key, "")
        if found:
            return str(found)
        made = base64.b64encode(token_urlsafe(32).encode()).decode()
        body: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {self._key: made}}
        await self._kube.apply(self._secret, body)
        return made

    async def remove(self) -> bool:
        """Unless a person has made it. Whether there was anything."""
        found = await self._kube.find(self._secret)
        if found is not None and not OURS.items() <= (found["metadata"].get("labels") or {}).items():
            return False
        return any([await self._kube.delete(path) for path in (self._secret, self._binding, self._role)])
