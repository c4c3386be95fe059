"""The management server on Kubernetes: its Deployment tells how it is set up, its pods answer for it.

Each replica knows only its own agents, so every ready pod is asked, by a port-forward (cli.md §1.1).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ctl.exits import Code, Failed
from ctl.kube.api import Kube, Object

SERVER, AGENT = "gloo-mesh-mgmt-server", "gloo-mesh-agent"
STATS_PORT, AGENT_PORT = 9091, 9988
_MOST = 400  # characters of a line


class Pod(NamedTuple):
    """`trouble`: why it is not ready, in Kubernetes' words."""

    namespace: str
    name: str
    port: int
    trouble: str

    @property
    def url(self) -> str:
        return f"http://{self.name}.{self.namespace}"


class Component(NamedTuple):
    """A Deployment and its pods."""

    deployment: Object
    pods: Sequence[Pod]

    @property
    def ready(self) -> Sequence[Pod]:
        return [pod for pod in self.pods if not pod.trouble]

    @property
    def image(self) -> tuple[str, str]:
        """(registry, tag), each maybe empty."""
        image = str(self._container["image"]).partition("@")[0]
        registry, _, name = image.rpartition("/")
        return registry, name.partition(":")[2]

    @property
    def environment(self) -> Mapping[str, str]:
        """What is written there in plain."""
        return {e["name"]: e["value"] for e in self._container.get("env") or () if "value" in e}

    @property
    def _container(self) -> Object:
        found: Object = self.deployment["spec"]["template"]["spec"]["containers"][0]
        return found


async def component(kube: Kube, namespace: str, name: str, port_name: str, port: int) -> Component | None:
    """None when there is no such Deployment. Raises ApiFailed."""
    deployment = await kube.find(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    if deployment is None:
        return None
    labels = deployment["spec"]["selector"].get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    found = await kube.items(f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": selector})
    pods = [_pod(pod, port_name, port) for pod in found if not pod["metadata"].get("deletionTimestamp")]
    return Component(deployment, sorted(pods))


async def server(kube: Kube, namespace: str) -> Component:
    """Raises Failed when there is none, ApiFailed."""
    found = await component(kube, namespace, SERVER, "stats", STATS_PORT)
    if found is None:
        message = f"there is no Deployment {SERVER} in namespace {namespace} of {kube.place}"
        hint = (
            "name its cluster with --kubecontext and its namespace with --mgmt-namespace, or: "
            "fingerpost install --profiles mgmt-server"
        )
        raise Failed(Code.UNREACHABLE, message, hint, "NoServer")
    return found


async def agent(kube: Kube, namespace: str) -> Component | None:
    return await component(kube, namespace, AGENT, "http", AGENT_PORT)


def _pod(pod: Object, port_name: str, port: int) -> Pod:
    metadata = pod["metadata"]
    ports = [p for c in pod["spec"]["containers"] for p in c.get("ports") or () if p.get("name") == port_name]
    number = ports[0]["containerPort"] if ports else port
    return Pod(metadata["namespace"], metadata["name"], number, trouble(pod))


def trouble(pod: Object) -> str:
    """Why a pod is not ready; empty when it is."""
    status = pod.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    if conditions.get("Ready", {}).get("status") == "True":
        return ""
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        if said := _of_container(container):
            return f"container {container['name']} {said}"
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return _words(scheduled.get("reason", "not scheduled"), scheduled.get("message", ""))
    return str(status.get("message") or ("starting" if status.get("phase") in (None, "Pending") else "not ready yet"))


def _of_container(container: Object) -> str:
    """Empty: nothing is known against it. What it said when it ended tells more than that it is started again later."""
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    over = state.get("terminated") or {}
    before = (container.get("lastState") or {}).get("terminated") or {}
    last = last_words(over or before)
    if waiting.get("reason") not in ("ContainerCreating", "PodInitializing", None):
        return _words(waiting["reason"], last or waiting.get("message", ""))
    if over.get("exitCode"):
        return _words(f"ended with exit code {over['exitCode']}", last)
    if before.get("exitCode") and not container.get("ready"):
        return _words(f"ended with exit code {before['exitCode']} and was started again", last)
    return ""


def last_words(terminated: Object) -> str:
    """Of a container that has ended: the reason in the last line of its log that has one, or its last line."""
    lines = [line.strip() for line in str(terminated.get("message") or "").splitlines() if line.strip()]
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:
            continue  # a traceback, or the half line at the beginning of what Kubernetes keeps
        if isinstance(found, dict) and found.get("reason"):
            return str(found["reason"])
    return lines[-1][:_MOST] if lines else ""


def _words(reason: str, message: str) -> str:
    return " ".join(part for part in (reason, f"({message})" if message else "") if part)
