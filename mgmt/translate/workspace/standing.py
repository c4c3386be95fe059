"""What a Workspace's status says: how much it selects, what it lost to older Workspaces, and which entries are
mistaken (workspaces.md §2, §10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from fingerpost.api.common import ClusterSelector
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter, Severity
from mgmt.translate.workspace.ownership import WorkspaceView, selects, workspace_clusters

_SHOWN = 10  # of the pairs that went to another workspace, so that a status stays readable


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """`clusters` are the registered clusters selected, `namespaces` the (cluster, namespace) pairs owned; both
    sorted.
    """

    clusters: tuple[str, ...] = ()
    namespaces: tuple[tuple[str, str], ...] = ()
    problems: tuple[Problem, ...] = ()


def misplaced(ref: ObjectKey, management_cluster: str, admin_namespace: str) -> Problem | None:
    """Workspaces count only in the admin namespace of the management cluster (W-1)."""
    if (ref.cluster, ref.namespace) == (management_cluster, admin_namespace):
        return None
    message = f"workspaces are only read from {admin_namespace} of the management cluster"
    return Problem(ref=ref, severity=Severity.INVALID, code="Misplaced", message=message)


def _unset_config(path: str, values: Sequence[bool | None], report: Reporter) -> None:
    if None not in values or all(value is None for value in values):
        return
    missing = ", ".join(str(i) for i, value in enumerate(values) if value is None)
    counts = "false" if True in values else "true"
    message = f"configEnabled is set on some entries only, entries {missing} count as {counts}: set it on every entry"
    report.warn(path, "ConfigEnabledIncomplete", message)


def _check_entry(path: str, entry: ClusterSelector, report: Reporter) -> None:
    for i, item in enumerate(entry.namespaces):
        if not item.name and not item.labels:
            message = "neither name nor labels is set, the entry selects nothing: set one of them"
            report.warn(f"{path}.namespaces[{i}]", "SelectsNothing", message)
    _unset_config(f"{path}.namespaces", [item.config_enabled for item in entry.namespaces], report)


def _check_entries(view: WorkspaceView, clusters: Mapping[str, Mapping[str, str]], report: Reporter) -> None:
    entries = view.spec.workload_clusters
    useful = any(entry.namespaces for entry in entries)
    for i, entry in enumerate(entries):
        path = f"spec.workloadClusters[{i}]"
        if not entry.namespaces:
            severity = Severity.WARNING if useful else Severity.INVALID
            message = 'namespaces is empty, the entry selects nothing: list namespaces, or name: "*" for all'
            report.add(severity, f"{path}.namespaces", "NamespacesEmpty", message)
        if entry.name and "*" not in entry.name and entry.name not in clusters:
            report.warn(f"{path}.name", "ClusterNotRegistered", f"cluster {entry.name} is not registered")
        _check_entry(path, entry, report)
    _unset_config("spec.workloadClusters", [entry.config_enabled for entry in entries], report)


def _report_lost(lost: Sequence[tuple[str, str, str]], severity: Severity, report: Reporter) -> None:
    for cluster, namespace, owner in lost[:_SHOWN]:
        message = f"namespace {namespace} in cluster {cluster} belongs to workspace {owner}"
        report.add(severity, "spec.workloadClusters", "NamespaceTaken", message)
    if len(lost) > _SHOWN:
        message = f"{len(lost) - _SHOWN} more selected namespaces belong to other workspaces"
        report.add(severity, "spec.workloadClusters", "NamespaceTaken", message)


def standing(
    view: WorkspaceView,
    clusters: Mapping[str, Mapping[str, str]],
    namespaces: Iterable[tuple[str, str, Mapping[str, str]]],
    owner: Callable[[str, str], str | None],
) -> Standing:
    """`clusters`: registered, name -> labels. `namespaces`: reported (cluster, namespace, labels). `owner` of a pair,
    as `owner_of` says.

    A Workspace that selects pairs and owns none of them is INVALID; one that lost some is WARNING (W-9, W-10).
    """
    report = Reporter(view.key)
    _check_entries(view, clusters, report)
    owned: list[tuple[str, str]] = []
    lost: list[tuple[str, str, str]] = []
    for cluster, namespace, labels in sorted(namespaces, key=lambda n: n[:2]):
        cluster_labels = clusters.get(cluster)
        if cluster_labels is None or not selects(view, cluster, cluster_labels, namespace, labels):
            continue
        who = owner(cluster, namespace)
        if who == view.name:
            owned.append((cluster, namespace))
        elif who is not None:
            lost.append((cluster, namespace, who))
    _report_lost(lost, Severity.WARNING if owned else Severity.INVALID, report)
    return Standing(
        clusters=tuple(sorted(workspace_clusters(view, clusters))),
        namespaces=tuple(owned),
        problems=tuple(report.problems),
    )
