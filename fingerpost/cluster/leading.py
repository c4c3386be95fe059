"""Which of several processes on one cluster leads: by a Lease of its API server. A folder has but one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Never, Protocol

from fingerpost.cluster.source import ApiServerSettings


class Leading(Protocol):
    """`begin`, then `run`. `changed(held)` may be set by whoever wants to know."""

    changed: Callable[[bool], None]

    @property
    def held(self) -> bool: ...

    async def begin(self) -> None: ...

    async def run(self) -> Never: ...


@asynccontextmanager
async def open_lease(settings: ApiServerSettings, namespace: str, name: str, instance: str) -> AsyncIterator[Leading]:
    """Of the API server that the settings name. Raises ClusterFailed."""
    # the client package takes half a second and 50 MB, which a folder needs not
    from fingerpost.cluster.kubernetes.api import connected  # noqa: PLC0415
    from fingerpost.cluster.kubernetes.lease import Lease  # noqa: PLC0415

    async with connected(settings.kubeconfig, settings.kube_context) as api:
        yield Lease(api, namespace, name, instance, lambda _: None)
