"""`cluster deregister`: the agent goes, and so does what was made to register; what was written for gateways stays."""

from __future__ import annotations

from ctl.exits import Code, Failed
from ctl.kube.accepted import CLUSTERS
from ctl.kube.api import Kube, Object
from ctl.kube.charts import PLATFORM
from ctl.kube.helm import Helm
from ctl.kube.plane import Plane
from ctl.kube.registration import CLIENT, OURS, ROOT, TOKEN
from ctl.steps import Steps

_AGENT = "gloo-mesh-agent"  # the field manager of what an agent makes


class Deregistration:
    """Raises Failed, ApiFailed."""

    def __init__(self, plane: Plane, name: str, namespace: str, steps: Steps) -> None:
        """`namespace` of the agent."""
        self._plane, self._name, self._namespace, self._steps = plane, name, namespace, steps

    async def leave(self, workload: Kube) -> None:
        """In the workload cluster. Refuses when its agent has another name."""
        helm, steps = Helm(workload, self._namespace), self._steps
        release = await helm.find(PLATFORM)
        named = (release.values.get("common") or {}).get("cluster", self._name) if release else self._name
        if named != self._name:
            message = f"the agent in namespace {self._namespace} of {workload.place} is that of cluster {named}"
            raise Failed(Code.REFUSED, message, "name the right --remote-context", "OtherCluster")
        what = f"{PLATFORM} of namespace {self._namespace}"
        if steps.dry:
            steps.would(f"uninstall {what}")
        elif await helm.uninstall(PLATFORM):
            steps.done(f"{what} uninstalled")
        else:
            steps.kept(f"{what} is not installed")
        for name in (TOKEN, CLIENT, ROOT):
            path = f"/api/v1/namespaces/{self._namespace}/secrets/{name}"
            found = await workload.find(path)
            if found is None or not _made_by_us(found):
                continue
            if steps.dry:
                steps.would(f"remove Secret {name}")
            else:
                await workload.delete(path)
                steps.done(f"Secret {name} removed")

    async def forget(self) -> None:
        """In the management cluster."""
        namespace, steps = self._plane.admin_namespace, self._steps
        what = f"KubernetesCluster {namespace}/{self._name}"
        if steps.dry:
            steps.would(f"delete {what}")
        elif await self._plane.kube.delete(f"{CLUSTERS.format(namespace)}/{self._name}"):
            steps.done(f"{what} deleted")
        else:
            steps.kept(f"{what} does not exist")


def _made_by_us(secret: Object) -> bool:
    """Copied by `register`, or made by the agent; what a person brought is not ours to delete."""
    metadata = secret["metadata"]
    if OURS.items() <= (metadata.get("labels") or {}).items():
        return True
    return {field.get("manager") for field in metadata.get("managedFields") or ()} == {_AGENT}
