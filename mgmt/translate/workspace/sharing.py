"""Availability across workspaces: what one exports and the other imports (workspaces.md §5).

Both resource filters have to admit an object. Nothing is transitive: only an object's owner is asked for its exports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fingerpost.api.admin.workspace_settings import (
    ObjectKind,
    TypedObjectSelector,
    WorkspaceObjectSelector,
    WorkspaceSettingsSpec,
)
from fingerpost.api.common import WorkspaceSelector
from fingerpost.objects import ObjectKey
from mgmt.translate.workspace.selectors import labels_match, name_matches

SHAREABLE: Mapping[str, ObjectKind] = {
    "core/Service": ObjectKind.SERVICE,
    "networking.gloo.solo.io/RouteTable": ObjectKind.ROUTE_TABLE,
    "networking.gloo.solo.io/VirtualDestination": ObjectKind.VIRTUAL_DESTINATION,
    "networking.gloo.solo.io/ExternalService": ObjectKind.EXTERNAL_SERVICE,
    "networking.gloo.solo.io/ExternalWorkload": ObjectKind.EXTERNAL_WORKLOAD,
    "apimanagement.gloo.solo.io/ApiDoc": ObjectKind.API_DOC,
    "apimanagement.gloo.solo.io/GraphQLResolverMap": ObjectKind.GRAPHQL_RESOLVER_MAP,
    "apimanagement.gloo.solo.io/GraphQLSchema": ObjectKind.GRAPHQL_SCHEMA,
    "apimanagement.gloo.solo.io/GraphQLStitchedSchema": ObjectKind.GRAPHQL_STITCHED_SCHEMA,
}

_EVERYTHING = (TypedObjectSelector(),)


class WorkspaceId(msgspec.Struct, frozen=True):
    """What others may select a workspace by."""

    name: str
    labels: Mapping[str, str] = {}


class Sharing(msgspec.Struct, frozen=True):
    """What may pass from one workspace to another: an object that both sides' selectors admit."""

    exports: tuple[TypedObjectSelector, ...]
    imports: tuple[TypedObjectSelector, ...]

    def admits(self, key: ObjectKey, labels: Mapping[str, str]) -> bool:
        kind = SHAREABLE.get(key.type)
        return (
            kind is not None
            and any(resource_matches(e, kind, key, labels) for e in self.exports)
            and any(resource_matches(i, kind, key, labels) for i in self.imports)
        )


def workspace_matches(selector: WorkspaceSelector, workspace: WorkspaceId) -> bool:
    """Name and labels are ANDed; neither given selects no workspace: sharing must be stated."""
    if not selector.name and not selector.selector:
        return False
    return (not selector.name or name_matches(selector.name, workspace.name)) and labels_match(
        selector.selector, workspace.labels
    )


def resource_matches(
    selector: TypedObjectSelector, kind: ObjectKind, key: ObjectKey, labels: Mapping[str, str]
) -> bool:
    """Names are exact, a `*` in them is only a character (W-32)."""
    return (
        selector.kind in (ObjectKind.ALL, kind)
        and (not selector.name or selector.name == key.name)
        and (not selector.namespace or selector.namespace == key.namespace)
        and (not selector.cluster or selector.cluster == key.cluster)
        and labels_match(selector.labels, labels)
    )


def _resources(entries: Iterable[WorkspaceObjectSelector], other: WorkspaceId) -> tuple[TypedObjectSelector, ...]:
    chosen = [entry for entry in entries if any(workspace_matches(w, other) for w in entry.workspaces)]
    return tuple(selector for entry in chosen for selector in entry.resources or _EVERYTHING)


def sharing_between(
    settings_owner: WorkspaceSettingsSpec | None,
    settings_importer: WorkspaceSettingsSpec | None,
    owner: WorkspaceId,
    importer: WorkspaceId,
) -> Sharing | None:
    """None when nothing can pass. Settings are the effective ones, None when a workspace has none."""
    if settings_owner is None or settings_importer is None or owner.name == importer.name:
        return None
    exports = _resources(settings_owner.export_to, importer)
    imports = _resources(settings_importer.import_from, owner) if exports else ()
    return Sharing(exports, imports) if imports else None
