"""Which of several servers leads (relay.md §9.1): it alone writes statuses, conditions of KubernetesClusters and Events
of the management cluster, and renews the relay's certificates. By a Lease where there is an API server; else by the
lease in Redis, whose holder reads the management cluster.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fingerpost.cluster.leading import Leading, open_lease
from mgmt.settings import Settings

NAME = "gloo-mesh-mgmt-server"


@asynccontextmanager
async def open_leading(settings: Settings) -> AsyncIterator[Leading | None]:
    """None: Redis tells. Raises ClusterFailed."""
    if not settings.leader_election or (settings.kubeconfig is None and not settings.in_cluster):
        yield None
        return
    async with open_lease(settings, settings.admin_namespace, NAME, settings.replica) as lease:
        await lease.begin()
        yield lease
