"""Which workspace owns a (cluster, namespace) pair, and whether configuration is read from it (workspaces.md §2).

Pure functions of the Workspaces and of the labels of one cluster and one namespace; what a Workspace is told about it
is in `standing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fingerpost.api.admin.workspace import WorkspaceSpec
from fingerpost.api.common import ClusterSelector, NamespaceSelector
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Severity
from mgmt.translate.workspace.selectors import labels_match, name_matches


class WorkspaceView(msgspec.Struct, frozen=True, kw_only=True):
    """A Workspace as the translator sees it."""

    name: str
    key: ObjectKey
    labels: Mapping[str, str] = {}
    spec: WorkspaceSpec = WorkspaceSpec()
    created: str | None = None


class Ownership(msgspec.Struct, frozen=True, kw_only=True):
    """The owner of a pair. `config_enabled` is false when nobody owns it; `losers` are those who select it too,
    oldest first.
    """

    workspace: str | None = None
    config_enabled: bool = False
    losers: tuple[str, ...] = ()


def cluster_matches(selector: ClusterSelector, cluster: str, labels: Mapping[str, str]) -> bool:
    """Name and labels are ANDed; neither given means every registered cluster."""
    return (not selector.name or name_matches(selector.name, cluster)) and labels_match(selector.selector, labels)


def namespace_matches(selector: NamespaceSelector, namespace: str, labels: Mapping[str, str]) -> bool:
    """Name and labels are ANDed; neither given selects nothing."""
    if not selector.name and not selector.labels:
        return False
    return (not selector.name or name_matches(selector.name, namespace)) and labels_match(selector.labels, labels)


def config_enabled(values: Iterable[bool | None]) -> tuple[bool, ...]:
    """What `configEnabled` of sibling entries means: an omitted value is false beside a true one, else true (§2.4)."""
    written = tuple(values)
    omitted = True not in written
    return tuple(omitted if value is None else value for value in written)


def workspace_clusters(view: WorkspaceView, clusters: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    """The registered clusters (name -> labels) in which some entry could select a namespace: what the workspace
    depends on.
    """
    entries = [entry for entry in view.spec.workload_clusters if entry.namespaces]
    return frozenset(
        name for name, labels in clusters.items() if any(cluster_matches(entry, name, labels) for entry in entries)
    )


def _reads(
    spec: WorkspaceSpec,
    cluster: str,
    cluster_labels: Mapping[str, str],
    namespace: str,
    namespace_labels: Mapping[str, str],
) -> bool | None:
    """None when the pair is not selected, else whether configuration is read; of several entries one that reads is
    enough.
    """
    selected = None
    entries = spec.workload_clusters
    for entry, entry_reads in zip(entries, config_enabled(e.config_enabled for e in entries), strict=True):
        if not cluster_matches(entry, cluster, cluster_labels):
            continue
        inner = config_enabled(n.config_enabled for n in entry.namespaces)
        for item, item_reads in zip(entry.namespaces, inner, strict=True):
            if namespace_matches(item, namespace, namespace_labels):
                selected = bool(selected) or (entry_reads and item_reads)
    return selected


def selects(
    view: WorkspaceView,
    cluster: str,
    cluster_labels: Mapping[str, str],
    namespace: str,
    namespace_labels: Mapping[str, str],
) -> bool:
    return _reads(view.spec, cluster, cluster_labels, namespace, namespace_labels) is not None


def owner_of(
    cluster: str,
    namespace: str,
    namespace_labels: Mapping[str, str] | None,
    workspaces: Sequence[WorkspaceView],
    cluster_labels: Mapping[str, str] | None,
) -> Ownership:
    """`workspaces` oldest first: the first that selects the pair owns it. Labels None: the namespace is not
    reported (yet), the cluster not registered.
    """
    if cluster_labels is None:
        return Ownership()
    owner: str | None = None
    reads = False
    losers = []
    for view in workspaces:
        found = _reads(view.spec, cluster, cluster_labels, namespace, namespace_labels or {})
        if found is None:
            continue
        if owner is None:
            owner, reads = view.name, found
        else:
            losers.append(view.name)
    return Ownership(workspace=owner, config_enabled=reads, losers=tuple(losers))


def membership_problem(ref: ObjectKey, ownership: Ownership) -> Problem | None:
    """Why an object of a user takes no part, None when it does (W-2, W-15)."""
    if ownership.workspace is None:
        code, message = "NoWorkspace", "namespace does not belong to any workspace"
    elif not ownership.config_enabled:
        code, message = "ConfigNotRead", "configuration is not read from this namespace"
    else:
        return None
    return Problem(ref=ref, severity=Severity.PENDING, code=code, message=message)
