"""Which WorkspaceSettings are in force for a workspace, and what the global ones add (workspaces.md §3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fingerpost.api.admin.workspace_settings import Options, WorkspaceSettingsSpec
from fingerpost.objects import ObjectKey

GLOBAL = "global"
NOTHING = WorkspaceSettingsSpec()


class SettingsView(msgspec.Struct, frozen=True, kw_only=True):
    """A WorkspaceSettings object. `spec` is its last valid version, None when there was none (W-37)."""

    key: ObjectKey
    spec: WorkspaceSettingsSpec | None = None
    created: str | None = None


def is_global(key: ObjectKey, management_cluster: str, admin_namespace: str) -> bool:
    """Only the object of that name in the admin namespace is; another namespace's `global` is ordinary settings
    (W-18).
    """
    return (key.name, key.namespace, key.cluster) == (GLOBAL, admin_namespace, management_cluster)


def last_valid(
    newest: WorkspaceSettingsSpec | None, before: WorkspaceSettingsSpec | None
) -> WorkspaceSettingsSpec | None:
    """A typing error must not cut off all routes: while the newest version is broken (None), the one before stays
    (W-37).
    """
    return before if newest is None else newest


def pick_settings(candidates: Sequence[SettingsView]) -> tuple[SettingsView | None, tuple[SettingsView, ...]]:
    """`candidates` oldest first, of namespaces whose configuration is read: the oldest is in force, the rest are
    not (W-14).
    """
    if not candidates:
        return None, ()
    return candidates[0], tuple(candidates[1:])


def _merge_options(own: Options, over: Options) -> Options:
    return Options(
        service_isolation=own.service_isolation if over.service_isolation is None else over.service_isolation,
        federation=own.federation if over.federation is None else over.federation,
        east_west_gateways=over.east_west_gateways or own.east_west_gateways,
        virtual_dest_client_mode=(
            own.virtual_dest_client_mode if over.virtual_dest_client_mode is None else over.virtual_dest_client_mode
        ),
        trim_all_proxy_config=over.trim_all_proxy_config or own.trim_all_proxy_config,
    )


def effective_settings(
    own: WorkspaceSettingsSpec | None, global_: WorkspaceSettingsSpec | None
) -> WorkspaceSettingsSpec:
    """An option present in the global settings replaces the workspace's as a whole; imports and exports are added."""
    own = NOTHING if own is None else own
    if global_ is None:
        return own
    if own.options is None or global_.options is None:
        options = global_.options if own.options is None else own.options
    else:
        options = _merge_options(own.options, global_.options)
    return WorkspaceSettingsSpec(
        import_from=own.import_from + global_.import_from,
        export_to=own.export_to + global_.export_to,
        options=options,
    )
