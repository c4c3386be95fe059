"""The roads to the servers of a context on Kubernetes: one port-forward for each ready pod."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ctl.contexts import Context
from ctl.exits import Code, Failed
from ctl.flags import current
from ctl.kube.api import Kube, Place, opened
from ctl.kube.mgmt import Pod, server
from fingerpost.cluster.kubernetes.forward import PodTransport

Roads = dict[str, PodTransport]


@asynccontextmanager
async def forwarded(context: Context) -> AsyncIterator[Roads]:
    """By the URL of each pod of the management server. Raises Failed when none is ready, or, in the end, when none of
    them could be asked for want of a right.
    """
    async with opened(Place.of(context)) as kube:
        namespace = context.namespace or current().admin_namespace
        found = await server(kube, namespace)
        if not found.ready:
            raise none_ready(namespace, found.pods)
        out = roads(kube, found.ready)
        yield out
        if all(road.forbidden for road in out.values()):
            message = next(iter(out.values())).forbidden
            hint = f"have it granted in namespace {namespace}, or use another --kubecontext"
            raise Failed(Code.FORBIDDEN, message, hint, "Forbidden")


def roads(kube: Kube, pods: Sequence[Pod]) -> Roads:
    return {pod.url: PodTransport(kube.api, pod.namespace, pod.name, pod.port) for pod in pods}


def none_ready(namespace: str, pods: Sequence[Pod]) -> Failed:
    said = "; ".join(f"{pod.name}: {pod.trouble}" for pod in pods) or "it has no pods"
    message = f"no pod of the management server in namespace {namespace} is ready: {said}"
    return Failed(Code.UNREACHABLE, message, "fingerpost check tells more", "ServerNotReady")
