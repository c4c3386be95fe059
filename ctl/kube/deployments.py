"""Are the parts of the installation ready, and if not, what do their pods say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ctl.kube.api import Kube, Object
from ctl.kube.mgmt import trouble

PART_OF = "app.kubernetes.io/part-of=gloo-platform"


class Workload(NamedTuple):
    """A Deployment. `troubles`: of its pods, each with the pod's name."""

    namespace: str
    name: str
    ready: int
    wanted: int
    rolling: bool
    troubles: Sequence[str]

    @property
    def health(self) -> str:
        if not self.wanted:
            return "Unhealthy"
        if self.ready >= self.wanted and not self.rolling:
            return "Healthy"
        return "Progressing" if self.ready or not self.troubles else "Unhealthy"


async def workloads(kube: Kube, namespace: str, release: str = "") -> Sequence[Workload]:
    """Of one release, or all of the installation. Raises ApiFailed."""
    selector = PART_OF + (f",app.kubernetes.io/instance={release}" if release else "")
    found = await kube.items(f"/apis/apps/v1/namespaces/{namespace}/deployments", {"labelSelector": selector})
    out = []
    for deployment in sorted(found, key=lambda d: d["metadata"]["name"]):
        labels = deployment["spec"]["selector"].get("matchLabels") or {}
        query = {"labelSelector": ",".join(f"{k}={v}" for k, v in sorted(labels.items()))}
        pods = await kube.items(f"/api/v1/namespaces/{namespace}/pods", query)
        out.append(_workload(deployment, pods))
    return out


async def unready(kube: Kube, namespace: str, release: str = "") -> Sequence[Workload]:
    """Of those that are to run."""
    return [w for w in await workloads(kube, namespace, release) if w.wanted and w.health != "Healthy"]


def said(workload: Workload) -> str:
    """One sentence about one that is not healthy."""
    why = "; ".join(workload.troubles) or "its pods are being replaced"
    where = f"Deployment {workload.namespace}/{workload.name}"
    if not workload.wanted:
        return f"{where} is scaled to 0, so nothing of it runs"
    return f"{where}: {workload.ready} of {workload.wanted} pods ready ({why})"


def remedy(workload: Workload) -> str:
    """What to do about one that is not healthy."""
    if not workload.wanted:
        return f"kubectl -n {workload.namespace} scale deployment {workload.name} --replicas=1"
    look = f"kubectl -n {workload.namespace} describe pods -l app={workload.name} shows why"
    if workload.health == "Progressing":
        return f"wait until they are ready; if they stay as they are, {look}"
    return f"{look}: correct image, rights or values of the chart, with fingerpost install or cluster register"


def _workload(deployment: Object, pods: Sequence[Object]) -> Workload:
    metadata, status = deployment["metadata"], deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    current = status.get("observedGeneration") == metadata["generation"]
    rolling = not current or status.get("updatedReplicas", 0) < wanted
    living = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    troubles = [f"{pod['metadata']['name']}: {t}" for pod in living if (t := trouble(pod))]
    refused = [c["message"] for c in status.get("conditions") or () if c["type"] == "ReplicaFailure"]
    ready = status.get("readyReplicas", 0)
    return Workload(metadata["namespace"], metadata["name"], ready, wanted, rolling, [*troubles, *refused])
