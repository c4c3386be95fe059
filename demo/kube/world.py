"""The clusters themselves: three API servers with a node each, istiod in two, and what runs outside of them all."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from demo.certificates import ShopAuthority
from demo.ground import ROOT, python
from demo.kube import manifests
from demo.kube.plane import ADMIN, ISTIO, MANAGEMENT, Plane
from demo.processes import Processes
from mgmt.authority import SECRET
from tests.kube import tools
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.command_line import both
from tests.kube.istio_pods import ENVIRONMENT, MESH, Mesh, istio_pod, may_read_secrets, root_of
from tests.kube.istiod import Istiod, running_istiod
from tests.kube.kube_client import namespace
from tests.kube.release import envoy_pod, install_release, load_balancer, ready
from tests.kube.workload_certificates import serving

GATEWAY = "gateway"
_SERVICE = "ingress"
_PATIENCE = 120.0
MANAGEMENT_VALUES: dict[str, Any] = {
    "common": {"cluster": MANAGEMENT},
    "glooMgmtServer": {
        "enabled": True,
        "registerCluster": True,
        "extraEnvs": {"FINGERPOST_MGMT_DRAIN_SPREAD": {"value": "0"}},  # three agents are no storm
    },
    "glooAgent": {"secretNamespaces": [manifests.GATEWAYS]},
}


class World:
    """Use `running_world`. What is done here is done step by step by the first chapter."""

    def __init__(self, state: Path, stack: AsyncExitStack, clusters: dict[str, Cluster]) -> None:
        self._state, self._stack, self.clusters = state, stack, clusters
        self._istiods: dict[str, Istiod] = {}
        self._secrets = self._authority()
        self.plane = Plane(asyncio.get_running_loop(), clusters, state, self._environment())

    async def start_istio(self) -> None:
        async def start(name: str) -> None:
            cluster = self.clusters[name]
            running = running_istiod(
                cluster.server,
                cluster.kube,
                name,
                environment=ENVIRONMENT,
                mesh=MESH,
                address=cluster.ground.node,
            )
            self._istiods[name] = await self._stack.enter_async_context(running)

        await asyncio.gather(*map(start, ISTIO))

    async def install(self) -> None:
        """Both charts in the management cluster, where the namespace of `secretNamespaces` has to be there before."""
        await self.clusters[MANAGEMENT].kube.apply(namespace(manifests.GATEWAYS))
        await install_release(self.clusters[MANAGEMENT], MANAGEMENT_VALUES, patience=_PATIENCE)

    async def apply_examples(self) -> None:
        async def apply(name: str) -> None:
            kube = self.clusters[name].kube
            await kube.apply(*manifests.of(name), *self._secrets, *manifests.shop(name), *await self._gateway(name))

        await asyncio.gather(*map(apply, self.clusters))

    async def _gateway(self, name: str) -> list[manifests.Object]:
        """The pods behind the gateway's Service of the examples: Istio's, or a plain Envoy."""
        where, labels = manifests.GATEWAYS, {"app": GATEWAY}
        metadata = {"name": manifests.ACCOUNT, "namespace": where}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        if name not in ISTIO:
            config, spec = envoy_pod(name, where, _SERVICE, manifests.ACCOUNT)
            labels["gateway.gloo.solo.io/type"] = "envoy"
            return [account, config, manifests.deployment(where, GATEWAY, labels, spec, 1)]
        root = await root_of(self.clusters[MANAGEMENT], ADMIN, SECRET)
        identity = f"spiffe://cluster.local/ns/{where}/sa/{manifests.ACCOUNT}"
        sds = await self._stack.enter_async_context(serving(identity, root, self.clusters[name].ground.node))
        labels["istio"] = "ingressgateway"
        mesh = Mesh(self._istiods[name], sds, manifests.region(name))
        config, spec = istio_pod(mesh, where, _SERVICE, labels)
        objects = [account, *may_read_secrets(where), config]
        return [*objects, manifests.deployment(where, GATEWAY, labels, spec, 1)]

    async def gateways_ready(self) -> None:
        for name, cluster in self.clusters.items():
            await ready(cluster, manifests.GATEWAYS, GATEWAY, _PATIENCE)
            self.plane.gateways[name] = await load_balancer(cluster, manifests.GATEWAYS, _SERVICE)

    def _authority(self) -> list[manifests.Object]:
        authority = ShopAuthority()
        authority.write(self._state / "shop-ca.pem")
        return list(yaml.safe_load_all(authority.secrets()))

    def _environment(self) -> dict[str, str]:
        home = self._state / "home"
        home.mkdir()
        kubeconfig = both(self._state, *(cluster.server.kubeconfig() for cluster in self.clusters.values()))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FINGERPOST", "HELM", "KUBE"))}
        path = f"{Path(tools.binary('helm')).parent}:{os.environ['PATH']}"
        return kept | {"HOME": str(home), "NO_COLOR": "1", "PATH": path, "KUBECONFIG": str(kubeconfig)}


@asynccontextmanager
async def running_world(state: Path) -> AsyncIterator[World]:
    """The clusters are up and empty."""
    async with AsyncExitStack() as stack:

        async def start(number: int, name: str) -> Cluster:
            return await stack.enter_async_context(running_cluster(name, state / name, number))

        names = (MANAGEMENT, *ISTIO)
        started = await asyncio.gather(*(start(number, name) for number, name in enumerate(names)))
        outside = state / "outside.json"
        outside.write_text(json.dumps({manifests.OUTSIDE: {"cluster": "outside", "pod": "pictures"}}))
        processes = Processes(state, ROOT)
        stack.callback(processes.stop)
        processes.start("outside", python("demo.backends", str(outside)))
        yield World(state, stack, dict(zip(names, started, strict=True)))
