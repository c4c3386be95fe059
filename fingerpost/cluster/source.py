"""Which cluster a process reads: a folder of manifests, or an API server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from fingerpost.cluster.protocol import Cluster, ClusterFailed


class ApiServerSettings(Protocol):
    """The settings that say which API server a process speaks to, if any."""

    @property
    def kubeconfig(self) -> Path | None: ...

    @property
    def kube_context(self) -> str: ...

    @property
    def in_cluster(self) -> bool: ...


class SourceSettings(ApiServerSettings, Protocol):
    """The settings that say where a cluster is."""

    @property
    def cluster(self) -> str: ...

    @property
    def directory(self) -> Path | None: ...

    @property
    def namespaces(self) -> tuple[str, ...]: ...


@asynccontextmanager
async def open_cluster(
    settings: SourceSettings,
    state: Path,
    types: Collection[str],
    manager: str,
    marks: Mapping[str, str],
    *,
    keep_secrets: bool = False,
) -> AsyncIterator[Cluster | None]:
    """None when no source is named. `types` is what is read of an API server; a folder is read whole. `marks` are the
    labels of what this process writes there. Raises ClusterFailed.
    """
    named = {
        "directory": settings.directory is not None,
        "kubeconfig": settings.kubeconfig is not None,
        "in_cluster": settings.in_cluster,
    }
    if sum(named.values()) > 1:
        given = " and ".join(f"--{name.replace('_', '-')}" for name, there in named.items() if there)
        raise ClusterFailed(f"{given} are given, each names a source of cluster {settings.cluster}; leave one")
    if settings.directory is not None:
        # each source brings packages that the other needs not: SQLite and inotify, aiohttp and TLS
        from fingerpost.cluster.directory.cluster import DirectoryCluster  # noqa: PLC0415

        async with DirectoryCluster(settings.cluster, settings.directory, state, keep_secrets=keep_secrets) as folder:
            yield folder
    elif settings.kubeconfig is not None or settings.in_cluster:
        from fingerpost.cluster.kubernetes.cluster import kubernetes_cluster  # noqa: PLC0415

        async with kubernetes_cluster(
            settings.cluster,
            types,
            kubeconfig=settings.kubeconfig,
            context=settings.kube_context,
            namespaces=settings.namespaces,
            manager=manager,
            marks=marks,
        ) as cluster:
            yield cluster
    else:
        yield None
