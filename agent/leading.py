"""Which of several agents of one cluster leads (relay.md §9.3): it alone writes to the cluster and pushes facts. The
others serve the Envoys that are connected to them, from a Pull stream of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Never

from agent.settings import Settings
from fingerpost.cluster.leading import Leading, open_lease

NAME = "gloo-mesh-agent"


class Alone:
    """There is no other one."""

    held = True

    def __init__(self) -> None:
        self.changed: Callable[[bool], None] = lambda _: None

    async def begin(self) -> None:
        pass

    async def run(self) -> Never:
        while True:  # there is nothing to do
            await asyncio.Event().wait()


@asynccontextmanager
async def open_leading(settings: Settings, instance: str) -> AsyncIterator[Leading]:
    """Raises ClusterFailed."""
    if not settings.leader_election or (settings.kubeconfig is None and not settings.in_cluster):
        yield Alone()
        return
    async with open_lease(settings, settings.namespace, NAME, instance) as lease:
        yield lease
