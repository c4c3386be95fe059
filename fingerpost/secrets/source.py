"""Where a process keeps its secrets: beside the API server it reads, or in a folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from fingerpost.cluster.source import ApiServerSettings
from fingerpost.secrets.folder import FolderSecrets
from fingerpost.secrets.protocol import Secrets


class PlaceSettings(ApiServerSettings, Protocol):
    @property
    def state_dir(self) -> Path: ...

    @property
    def secrets_dir(self) -> Path | None: ...


@asynccontextmanager
async def open_secrets(settings: PlaceSettings, namespace: str, manager: str) -> AsyncIterator[Secrets]:
    """`secrets_dir` wins over an API server. Raises ClusterFailed."""
    if settings.secrets_dir is None and (settings.kubeconfig is not None or settings.in_cluster):
        # 10 MB that a folder needs not
        from fingerpost.cluster.kubernetes.api import connected  # noqa: PLC0415
        from fingerpost.secrets.kubernetes import KubernetesSecrets  # noqa: PLC0415

        async with connected(settings.kubeconfig, settings.kube_context) as api:
            yield KubernetesSecrets(api, namespace, manager)
    else:
        yield FolderSecrets(settings.secrets_dir or settings.state_dir / "secrets")
