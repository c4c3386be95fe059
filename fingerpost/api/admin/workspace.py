"""Workspace: a named set of (cluster, namespace) pairs."""

from collections.abc import Mapping
from typing import ClassVar

from fingerpost.api.base import ApiStruct, ObjectMeta, UInt32
from fingerpost.api.common import ClusterSelector, ObjectReference, Status


class WorkspaceSpec(ApiStruct, frozen=True):
    """No entry at all is valid: a workspace of policies only (W-8)."""

    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceSpec"

    workload_clusters: tuple[ClusterSelector, ...] = ()


class SourceType(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceStatus.SourceType"

    imported: UInt32 = 0
    exported: UInt32 = 0
    private: UInt32 = 0


class WorkspaceStatus(ApiStruct, frozen=True):
    PROTO: ClassVar[str] = "admin.gloo.solo.io.WorkspaceStatus"

    common: Status | None = None
    workspace_settings: ObjectReference | None = None
    num_selected_clusters: UInt32 = 0
    num_selected_namespaces: UInt32 = 0
    num_resources: Mapping[str, SourceType] = {}
    policy_counts: Mapping[str, UInt32] = {}
    destination_counts: Mapping[str, UInt32] = {}
    num_imported_workspaces: UInt32 = 0


class Workspace(ApiStruct, frozen=True):
    metadata: ObjectMeta
    spec: WorkspaceSpec = WorkspaceSpec()
    status: WorkspaceStatus = WorkspaceStatus()
    api_version: str = "admin.gloo.solo.io/v2"
    kind: str = "Workspace"
