"""Waiting until a registered cluster is ACCEPTED, and saying what is wrong when that does not come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from ctl.exits import Code, Failed
from ctl.kube.api import Kube, Object
from ctl.kube.forwards import roads
from ctl.kube.mgmt import AGENT, Component, agent
from fingerpost.api.admin.kubernetes_cluster import holding, is_accepted, state_of
from fingerpost.cluster.kubernetes.api import ApiFailed
from mgmt.admin.findings import finding
from mgmt.admin.source_findings import source_finding

CLUSTERS = "/apis/admin.gloo.solo.io/v2/namespaces/{}/kubernetesclusters"
REGISTER = "make it a workload cluster: fingerpost cluster register NAME --remote-context CONTEXT"
_POLL = 0.1
_ASK = 3.0  # seconds for an agent's own words


class Registered:
    """The KubernetesCluster and the agent of one cluster."""

    def __init__(self, management: Kube, workload: Kube, path: str, namespace: str) -> None:
        """`path` of the KubernetesCluster, `namespace` of the agent."""
        self._management, self._workload = management, workload
        self._path, self._namespace = path, namespace
        self.name = path.rpartition("/")[2]

    async def accepted(self, timeout: float) -> Object:
        """The KubernetesCluster. Raises Failed with all that can be found out about why not."""
        obj: Object = {}
        try:
            async with asyncio.timeout(timeout):
                while True:
                    obj = await self._management.find(self._path) or {}
                    if is_accepted(status_of(obj)) and await self._rolled_out():
                        return obj
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            findings = await self._why(obj)
        message = f"cluster {self.name} is not ACCEPTED after {timeout:g}s: {findings[0]['message']}"
        hint = f"{findings[0]['hint']}; then repeat the command, which goes on from here"
        raise Failed(Code.TIMEOUT, message, hint, findings=findings)

    async def _rolled_out(self) -> bool:
        """After an upgrade the old pod stays connected until the new one is ready."""
        found = await self._workload.find(f"/apis/apps/v1/namespaces/{self._namespace}/deployments/{AGENT}")
        if found is None:
            return True  # run in some other way
        status, wanted = found.get("status") or {}, found["spec"].get("replicas", 1)
        new = status.get("observedGeneration") == found["metadata"]["generation"]
        return bool(new and status.get("updatedReplicas", 0) == status.get("replicas", 0) == wanted)

    async def _why(self, obj: Object) -> Sequence[Mapping[str, Any]]:
        """The cause first."""
        found = [finding("CHK046", self.name, c["message"]) for c in holding(status_of(obj), "Conflict")]
        found += await agent_findings(self._workload, self._namespace, self.name)
        state = state_of(status_of(obj))
        said = state.get("message") or "no management server has said anything about it"
        approval = state.get("approval") or "PENDING"
        return [*found, finding("CHK041", self.name, f"KubernetesCluster {self.name} is {approval}: {said}")]


async def agent_findings(kube: Kube, namespace: str, cluster: str) -> list[dict[str, Any]]:
    """Why an agent does not run, or what it says itself. Asks through the API server of its cluster."""
    try:
        found = await agent(kube, namespace)
    except ApiFailed as failed:
        return [finding("CHK047", cluster, f"{cluster}: {failed}")]
    if found is None:
        message = f"{cluster}: there is no Deployment {AGENT} in namespace {namespace} of {kube.place}"
        return [finding("CHK047", cluster, message, REGISTER)]
    said = await own_words(kube, found, cluster)
    if said:
        return said
    troubles = [f"{pod.name}: {pod.trouble}" for pod in found.pods if pod.trouble]
    if not found.pods:
        troubles = [
            f"it has no pods; {c['message']}" for c in holding(status_of(found.deployment), "ReplicaFailure")
        ] or ["it has no pods"]
    return [finding("CHK047", cluster, f"{cluster}: agent {AGENT}: {text}") for text in troubles]


async def own_words(kube: Kube, found: Component, cluster: str) -> list[dict[str, Any]]:
    """Of pods that run, ready or not (an agent without its server is not): what keeps it from the server."""
    said = []
    for url, road in roads(kube, found.pods).items():
        try:
            async with httpx.AsyncClient(transport=road, timeout=_ASK, trust_env=False) as client:
                answer = (await client.get(f"{url}/findings")).json()
        except (httpx.HTTPError, ValueError):
            continue  # its pod tells why
        for one in answer.get("findings", ()):
            told = source_finding(cluster, one["source"], one["code"], one["message"])
            said.append(told | {"message": f"{cluster}: {told['message']}"})
    return said


def status_of(obj: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = obj.get("status") or {}
    return found
