"""Which of several agents of one cluster leads (relay.md §9.3): it alone writes to the cluster and pushes facts. The
others serve the Envoys that are connected to them, from a Pull stream of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Never, Protocol

from agent.settings import Settings

NAME = "gloo-mesh-agent"


class Leading(Protocol):
    """`changed(held)` may be set by whoever wants to know."""

    changed: Callable[[bool], None]

    @property
    def held(self) -> bool: ...

    async def begin(self) -> None: ...

    async def run(self) -> Never: ...


class Alone:
    """There is no other one."""

    held = True

    def __init__(self) -> None:
        self.changed: Callable[[bool], None] = lambda _: None


@asynccontextmanager
async def open_leading(settings: Settings, instance: str) -> AsyncIterator[Leading | Alone]:
    """Raises ClusterFailed."""
    if not settings.leader_election or (settings.kubeconfig is None and not settings.in_cluster):
        yield Alone()
        return
    # the client package takes half a second and 50 MB, which a folder needs not
    from fingerpost.cluster.kubernetes.api import connected  # noqa: PLC0415
    from fingerpost.cluster.kubernetes.lease import Lease  # noqa: PLC0415

    async with connected(settings.kubeconfig, settings.kube_context) as api:
        yield Lease(api, settings.namespace, NAME, instance, lambda _: None)
