"""`cluster deregister`: the agent goes, and so does what was made to register; what was written for gateways stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ctl.exits import Code, Failed
from ctl.kube.accepted import CLUSTERS
from ctl.kube.agent_release import refuse_another
from ctl.kube.api import Kube, Object
from ctl.kube.charts import CRDS, PLATFORM
from ctl.kube.cluster_token import OURS, ClusterToken
from ctl.kube.helm import Helm
from ctl.kube.leases import pods_gone, remove_leases
from ctl.kube.mgmt import AGENT
from ctl.kube.plane import Plane
from ctl.kube.purging import Purge
from ctl.kube.registration import CLIENT, ROOT, TOKEN
from ctl.kube.users_objects import count
from ctl.output import counted
from ctl.steps import Steps

_AGENT = "gloo-mesh-agent"  # the field manager of what an agent makes
_KEPT = ("gloo-mesh-agent-key", "gloo-mesh-agent-gateways")  # Secrets with which a new agent would go on


async def plane_of(kube: Kube, namespace: str, name: str, steps: Steps, *, force: bool) -> Plane:
    """Also when its server has gone: then if the cluster is registered there, or by force. Raises Failed, ApiFailed."""
    try:
        return await Plane.of(kube, namespace)
    except Failed as failed:
        if failed.name != "NoServer":
            raise
        if not force and await kube.find(f"{CLUSTERS.format(namespace)}/{name}") is None:
            hint = f"{failed.hint}; where it has been uninstalled: --force"
            raise Failed(failed.code, failed.message, hint, failed.name) from failed
        where = f"namespace {namespace} of {kube.place}"
        steps.warn(f"there is no management server in {where}, so its secrets are looked for by their usual names")
        return Plane.without_server(kube, namespace)


class Deregistration:
    """Raises Failed, ApiFailed."""

    def __init__(
        self, plane: Plane, name: str, namespace: str, steps: Steps, *, purge: bool = False, keep_crds: bool = True
    ) -> None:
        """`namespace` of the agent."""
        self._plane, self._name, self._namespace, self._steps = plane, name, namespace, steps
        self._with_purge, self._keep_crds = purge, keep_crds
        self.unseen: Sequence[str] = ()  # kinds at which the purge could not look

    async def leave(self, workload: Kube, ask: Callable[[str], None], timeout: float) -> None:
        """In the workload cluster. Refuses when its agent has another name. `ask` raises Failed for a no."""
        helm, steps = Helm(workload, self._namespace), self._steps
        await refuse_another(
            helm,
            self._name,
            f"namespace {self._namespace} of {workload.place}",
            other="name the right --remote-context",
            management="take its agent away with glooAgent.enabled=false and registerCluster=false, or: "
            "fingerpost uninstall",
        )
        purge = Purge(workload, self._name, (self._plane.admin_namespace, self._namespace))
        losses = await self._losses(workload, purge)
        if losses and not steps.dry:
            ask(f"deregister {self._name}: {' and '.join(losses)} will be lost in {workload.place}")
        what = f"{PLATFORM} of namespace {self._namespace}"
        if steps.dry:
            steps.would(f"uninstall {what}")
        elif await helm.uninstall(PLATFORM):
            steps.done(f"{what} uninstalled")
        else:
            steps.kept(f"{what} is not installed")
        if self._with_purge and not steps.dry:
            await self._agent_gone(workload, timeout)
            steps.done(f"{counted(await purge.remove(timeout), 'generated object')} removed")
        if not steps.dry:
            await remove_leases(workload, self._namespace, (AGENT,), timeout, steps)
        kept = _KEPT if self._with_purge else ()
        for name in (TOKEN, CLIENT, ROOT, *kept):
            path = f"/api/v1/namespaces/{self._namespace}/secrets/{name}"
            found = await workload.find(path)
            if found is None or not _made_by_us(found):
                continue
            if steps.dry:
                steps.would(f"remove Secret {name}")
            else:
                await workload.delete(path)
                steps.done(f"Secret {name} removed")
        if not self._keep_crds:
            if steps.dry:
                steps.would(f"uninstall {CRDS} of namespace {self._namespace}")
            elif await helm.uninstall(CRDS):
                steps.done(f"{CRDS} of namespace {self._namespace} uninstalled")

    async def _losses(self, workload: Kube, purge: Purge) -> list[str]:
        """What cannot be had back, in words."""
        losses = []
        if self._with_purge:
            found = await purge.find()
            self.unseen = found.unseen
            number = counted(len(found.objects), "generated object")
            listed = f" ({found.counts})" if found.objects else ""
            self._steps.told_first(f"{workload.place}: {number}{listed}")
            for kind in found.unseen:
                self._steps.warn(f"{kind} cannot be listed, so what was written of this kind stays")
            losses += [number] if found.objects else []
        if not self._keep_crds:
            clusters, objects = await count(workload)
            number = counted(clusters + objects, "object")
            self._steps.told_first(f"{workload.place}: {number} of users, whose kinds go")
            losses.append(f"{number} of users with their kinds")
        return losses

    async def _agent_gone(self, workload: Kube, timeout: float) -> None:
        """Else it writes what is removed."""
        if not await pods_gone(workload, self._namespace, AGENT, timeout):
            message = f"the agent's pods in namespace {self._namespace} have not ended after {timeout:g}s"
            hint = "while it runs it writes anew what is removed; when its pods are gone, repeat the command"
            raise Failed(Code.TIMEOUT, message, hint, "AgentRuns")

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
        token = ClusterToken(self._plane, self._name)
        if not steps.dry and await token.remove():
            steps.done(f"Secret {token.name} and the right to read it removed")


def _made_by_us(secret: Object) -> bool:
    """Copied by `register`, or made by the agent; what a person brought is not ours to delete."""
    metadata = secret["metadata"]
    if OURS.items() <= (metadata.get("labels") or {}).items():
        return True
    return {field.get("manager") for field in metadata.get("managedFields") or ()} == {_AGENT}
