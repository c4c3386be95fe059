"""Composition root of the agent: opens its cluster, its Secrets and what is kept, and runs it on them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.app import TYPES, Agent
from agent.keeping import open_keeping
from agent.leading import open_leading
from agent.settings import Settings
from agent.xds.ports import Reports
from fingerpost import __version__
from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.cluster.source import open_cluster
from fingerpost.secrets.source import open_secrets
from fingerpost.telemetry import Telemetry
from fingerpost.tracing import tracing

_MANAGER = "gloo-mesh-agent"  # of fields in server-side apply


def _marks(settings: Settings) -> dict[str, str]:
    """The labels of relay.md §2.3 by which an object is known to be written here."""
    return {
        "reconciler.mesh.gloo.solo.io/name": "translator",
        "owner.gloo.solo.io/name": settings.namespace,
        "agent.gloo.solo.io": settings.namespace,
        "relay.solo.io/cluster": settings.cluster,
    }


@asynccontextmanager
async def running_agent(
    settings: Settings, metrics: Telemetry | None = None, observed: Reports | None = None
) -> AsyncIterator[Agent]:
    """The whole agent, until the context is left."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    state = settings.state_dir / "cluster"
    async with open_cluster(settings, state, TYPES, _MANAGER, _marks(settings), keep_secrets=True) as cluster:
        if cluster is None:
            raise ClusterFailed("no cluster is named; give --directory, --kubeconfig or --in-cluster")
        telemetry = metrics or Telemetry("fingerpost-agent", __version__)
        instance = settings.instance or f"{settings.cluster}-{os.getpid()}"
        async with (
            open_secrets(settings, settings.namespace, _MANAGER) as secrets,
            open_leading(settings, instance) as leading,
        ):
            keeping = await open_keeping(settings, cluster, secrets, lambda: leading.held)
            where = {"k8s.cluster.name": settings.cluster, "service.instance.id": instance}
            async with tracing(settings.otlp_endpoint, "fingerpost-agent", __version__, where) as tracer:
                agent = Agent(settings, cluster, telemetry, secrets, keeping, leading, instance, tracer, observed)
                async with agent.running():
                    yield agent
