"""Workspace: what an entry must say about namespaces (workspaces.md §2.2). What it selects: `workspace`."""

from __future__ import annotations

from fingerpost.api.admin.workspace import Workspace
from fingerpost.problems import Reporter, Severity


def check(workspace: Workspace, report: Reporter) -> None:
    entries = workspace.spec.workload_clusters
    useful = any(entry.namespaces for entry in entries)
    severity = Severity.WARNING if useful else Severity.INVALID
    for i, entry in enumerate(entries):
        if not entry.namespaces:
            message = 'namespaces is empty, the entry selects nothing: list namespaces, or name: "*" for all'
            report.add(severity, f"spec.workloadClusters[{i}].namespaces", "NamespacesEmpty", message)
