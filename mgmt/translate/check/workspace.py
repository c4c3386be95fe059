"""Workspace: what an entry must say about namespaces (workspaces.md §2.2). What it selects: `workspace`."""

from __future__ import annotations

from fingerpost.api.admin.workspace import Workspace
from fingerpost.crd.rules.workspace import NOTHING_SELECTED
from fingerpost.problems import Reporter, Severity


def check(workspace: Workspace, report: Reporter) -> None:
    entries = workspace.spec.workload_clusters
    useful = any(entry.namespaces for entry in entries)
    severity = Severity.WARNING if useful else Severity.INVALID
    for i, entry in enumerate(entries):
        if not entry.namespaces:
            path = f"spec.workloadClusters[{i}].namespaces"
            report.add(severity, path, "NamespacesEmpty", NOTHING_SELECTED)
