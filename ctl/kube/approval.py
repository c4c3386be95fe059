"""The decision on a cluster: an annotation of its KubernetesCluster."""

from __future__ import annotations

from ctl.exits import Code, Failed
from ctl.kube.accepted import CLUSTERS
from ctl.kube.api import MANAGER, Kube
from ctl.steps import Steps
from fingerpost.api.admin.kubernetes_cluster import APPROVAL, REQUESTED_BY, Approval, approval_of
from fingerpost.cluster.kubernetes.answers import mapping
from fingerpost.cluster.kubernetes.api import MERGE


async def decided(kube: Kube, namespace: str, name: str, decision: Approval, steps: Steps) -> None:
    """Of the object that was looked at and no other of its name. Raises Failed, ApiFailed."""
    path = f"{CLUSTERS.format(namespace)}/{name}"
    found = await kube.find(path)
    if found is None:
        message = f"there is no KubernetesCluster {name} in namespace {namespace} of {kube.place}"
        hint = "fingerpost cluster list shows all; is it the right --kubecontext and --mgmt-namespace?"
        raise Failed(Code.FINDINGS, message, hint, "NoCluster")
    said = found["metadata"].get("annotations") or {}
    if asked := said.get(REQUESTED_BY):
        steps.told_first(f"cluster {name} was asked for by {asked}")
    now = approval_of(said)
    if (now or Approval.ACCEPTED) is decision:
        steps.kept(f"KubernetesCluster {namespace}/{name} is {decision}")
    elif steps.dry:
        steps.would(f"set KubernetesCluster {namespace}/{name} to {decision}")
    else:
        # not an apply: that would give up what `register` has applied as the same manager
        body = {"metadata": {"uid": found["metadata"]["uid"], "annotations": {APPROVAL: decision.value}}}
        await kube.api.patch(path, body, MERGE, mapping, {"fieldManager": MANAGER})
        steps.done(f"KubernetesCluster {namespace}/{name} set to {decision}")
