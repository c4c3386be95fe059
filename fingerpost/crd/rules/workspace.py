"""Workspace: at least one entry must say something about namespaces (W-7)."""

from __future__ import annotations

from fingerpost.api.admin.workspace import WorkspaceSpec
from fingerpost.crd.constraints import Constraints, Rule

NOTHING_SELECTED = 'namespaces is empty, the entry selects nothing: list namespaces, or name: "*" for all'

RULES: Constraints = {
    WorkspaceSpec: (
        Rule(
            "self.size() == 0 || self.exists(c, has(c.namespaces) && c.namespaces.size() > 0)",
            NOTHING_SELECTED,
            at="workloadClusters",
        ),
    ),
}
