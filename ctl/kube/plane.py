"""How the management server is set up, as a cluster that registers has to know it: read off its Deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from ctl.exits import Code, Failed, usage
from ctl.kube.api import Kube, Object
from ctl.kube.charts import PLATFORM
from ctl.kube.mgmt import SERVER, Component, server

RELAY_PORT = 9900
_ENV = "FINGERPOST_MGMT_"
_POLL = 0.2


class Plane(NamedTuple):
    """`namespace` is that of the release, `admin_namespace` where clusters are registered and secrets lie."""

    kube: Kube
    namespace: str
    component: Component

    @classmethod
    async def of(cls, kube: Kube, namespace: str) -> Plane:
        return cls(kube, namespace, await server(kube, namespace))

    @classmethod
    def without_server(cls, kube: Kube, namespace: str) -> Plane:
        """One whose server has gone: as its chart sets it up when nothing is said."""
        container = {"name": SERVER, "image": ""}
        spec = {"template": {"spec": {"containers": [container], "serviceAccountName": SERVER}}}
        return cls(kube, namespace, Component({"metadata": {"name": SERVER}, "spec": spec}, ()))

    @property
    def with_agent(self) -> str:
        """The command that gives the management cluster an agent."""
        release = (self.component.deployment["metadata"].get("labels") or {}).get(
            "app.kubernetes.io/instance", PLATFORM
        )
        context = self.kube.place.context
        more = [
            ("--kubecontext", context, ""),
            ("-n", self.namespace, "gloo-mesh"),
            ("--release-name", release, PLATFORM),
        ]
        return " ".join(["fingerpost install --register", *(f"{f} {v}" for f, v, usual in more if v != usual)])

    def setting(self, name: str, default: str = "") -> str:
        return self.component.environment.get(f"{_ENV}{name}", default)

    def is_set(self, name: str) -> bool:
        return self.setting(name).lower() == "true"

    @property
    def admin_namespace(self) -> str:
        return self.setting("ADMIN_NAMESPACE", self.namespace)

    @property
    def insecure(self) -> bool:
        return self.is_set("INSECURE")

    @property
    def wants_token(self) -> bool:
        """Whether an agent begins with a token (docs/certificates.md, options 1 to 4)."""
        return not self.insecure and (self.shows_token_always or not self.is_set("DISABLE_CA"))

    @property
    def shows_token_always(self) -> bool:
        return self.is_set("DISABLE_CLIENT_CERTIFICATE_AUTHENTICATION")

    @property
    def requires_cluster_token(self) -> bool:
        return self.is_set("REQUIRE_CLUSTER_TOKEN")

    @property
    def token_key(self) -> str:
        return self.setting("TOKEN_SECRET_KEY", "token")

    @property
    def account(self) -> str:
        """The server's ServiceAccount."""
        return str(self.component.deployment["spec"]["template"]["spec"].get("serviceAccountName", "default"))

    async def secret(self, name: str, key: str) -> str:
        """One entry as it stands, in base64. Raises Failed."""
        namespace = self.admin_namespace
        found = await self.kube.find(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        value = ((found or {}).get("data") or {}).get(key, "")
        if not value:
            message = f"Secret {name} of namespace {namespace} of {self.kube.place} has no {key}"
            troubles = [f"{pod.name}: {pod.trouble}" for pod in self.component.pods if pod.trouble]
            hint = "the management server makes it at its start; is it running? fingerpost check tells"
            raise Failed(Code.FINDINGS, "; ".join([message, *troubles]), hint, "SecretMissing")
        return str(value)

    async def root(self) -> str:
        return await self.secret(self.setting("ROOT_TLS_SECRET", "relay-root-tls-secret"), "ca.crt")

    @property
    def token_secret(self) -> tuple[str, str]:
        """Its name and the entry of the token."""
        return self.setting("TOKEN_SECRET", "relay-identity-token-secret"), self.token_key

    async def token(self) -> str:
        return await self.secret(*self.token_secret)

    async def relay_address(self, timeout: float) -> str:
        """host:port of the load balancer of the relay's Service, waiting for it. Raises Failed (C-21)."""
        path = f"/api/v1/namespaces/{self.namespace}/services/{SERVER}"
        hint = "pass --relay-server-address HOST:PORT, under which the workload cluster reaches the relay"
        try:
            async with asyncio.timeout(timeout):
                while True:
                    service = await self.kube.find(path)
                    kind = service["spec"].get("type", "ClusterIP") if service else "missing"
                    if service is None or kind != "LoadBalancer":
                        message = (
                            f"Service {self.namespace}/{SERVER} is {kind}, so it has no address for other clusters"
                        )
                        raise usage(message, hint)
                    if host := _host(service):
                        return f"{f'[{host}]' if ':' in host else host}:{_port(service)}"
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            message = f"the load balancer of Service {self.namespace}/{SERVER} has no address after {timeout:g}s"
            raise Failed(Code.TIMEOUT, message, hint, "NoAddress") from None

    def agent_values(self, cluster: str, domain: str, address: str) -> Mapping[str, Any]:
        """For the agent's chart: images from where the server's is, the relay as the server has it."""
        registry, tag = self.component.image
        common: dict[str, Any] = {"cluster": cluster, "clusterDomain": domain}
        common |= {"imageRegistry": registry} if registry else {}
        common |= {"imageTag": tag} if tag else {}
        common |= {"insecure": True} if self.insecure else {}
        relay = {"serverAddress": address}
        if authority := self.setting("RELAY_AUTHORITY"):
            relay["authority"] = authority
        return {"common": common, "glooAgent": {"enabled": True, "relay": relay}}


def _host(service: Object) -> str:
    for ingress in (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or ():
        if host := ingress.get("ip") or ingress.get("hostname"):
            return str(host)
    return ""


def _port(service: Object) -> int:
    ports = service["spec"]["ports"]
    return int(next((p["port"] for p in ports if p.get("name") == "grpc"), RELAY_PORT))
