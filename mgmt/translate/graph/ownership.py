"""Who owns which namespace, which settings hold for a workspace, and what is available to whom."""

from __future__ import annotations

from collections.abc import Mapping

from fingerpost.api.admin.workspace_settings import WorkspaceSettingsSpec
from fingerpost.objects import ObjectKey
from mgmt.translate.engine import Context, Engine
from mgmt.translate.graph.inputs import KUBERNETES_CLUSTER, NAMESPACE, SETTINGS, WORKSPACE, Decoded, Inputs
from mgmt.translate.ir import Value
from mgmt.translate.workspace.ownership import Ownership, WorkspaceView, owner_of
from mgmt.translate.workspace.seniority import seniority
from mgmt.translate.workspace.settings import GLOBAL, SettingsView, effective_settings, is_global, pick_settings
from mgmt.translate.workspace.sharing import Sharing, WorkspaceId, sharing_between

Pair = tuple[str, str]  # cluster, namespace


class ClusterView(Value, frozen=True):
    """A registered cluster. `skip_warming`: leave it out of safe mode."""

    name: str
    labels: Mapping[str, str] = {}
    domain: str = "cluster.local"
    skip_warming: bool = False


class Effective(Value, frozen=True):
    """The settings in force for a workspace, and the objects that lost against the one chosen."""

    spec: WorkspaceSettingsSpec
    chosen: ObjectKey | None = None
    losers: tuple[ObjectKey, ...] = ()


class Place(Value, frozen=True):
    """Where the management plane lives, and what else of its settings decides what is made.

    `scoped_from`: the number of hosts from which a RouteConfiguration is served as scoped routes; 0: never.
    """

    cluster: str
    admin_namespace: str
    scoped_from: int = 0


class OwnershipGraph:
    def __init__(self, engine: Engine, inputs: Inputs, place: Place) -> None:
        self._place = place
        self._settings_input = inputs[SETTINGS]
        # The management cluster counts as registered under its own name, with or without a KubernetesCluster
        # (relay.md §2.1).
        self._home = engine.input("home")
        self._home.put(place.cluster, place)
        self.registered = engine.step("registered clusters", inputs[KUBERNETES_CLUSTER], self._cluster)
        self.clusters = engine.step("home cluster", self._home, self._home_cluster)
        self.workspaces = engine.step("workspaces", inputs[WORKSPACE], self._workspace)
        self.pairs = engine.step("owners", inputs[NAMESPACE], self._owner)
        self.settings_of = engine.step("settings' workspaces", inputs[SETTINGS], self._settings_owner)
        self._settings_by_workspace = self.settings_of.index(lambda _, workspace: (workspace,))
        self.settings = engine.step("effective settings", self.workspaces, self._effective)

    def _cluster(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[str, ClusterView]:
        if (key.cluster, key.namespace) != (self._place.cluster, self._place.admin_namespace) or decoded.obj is None:
            return {}
        spec = decoded.obj.spec
        view = ClusterView(
            name=key.name,
            labels=decoded.labels,
            domain=spec.cluster_domain or "cluster.local",
            skip_warming=spec.skip_warming,
        )
        return {key.name: view}

    def _home_cluster(self, context: Context, name: str, place: Place) -> dict[str, ClusterView]:
        return {name: context.get(self.registered, name) or ClusterView(name=name)}

    def all_clusters(self, context: Context) -> dict[str, ClusterView]:
        return {**context.all(self.registered), **context.all(self.clusters)}

    def cluster(self, context: Context, name: str) -> ClusterView | None:
        return context.get(self.registered, name) or context.get(self.clusters, name)

    def _workspace(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[str, WorkspaceView]:
        if (key.cluster, key.namespace) != (self._place.cluster, self._place.admin_namespace) or decoded.obj is None:
            return {}
        obj = decoded.obj
        return {
            key.name: WorkspaceView(
                name=key.name,
                key=key,
                labels=decoded.labels,
                spec=obj.spec,
                created=obj.metadata.creation_timestamp,
            )
        }

    def oldest_first(self, context: Context) -> list[WorkspaceView]:
        return sorted(context.all(self.workspaces).values(), key=lambda w: seniority(w.created, w.key))

    def _owner(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[Pair, Ownership]:
        cluster = self.cluster(context, key.cluster)
        labels = cluster.labels if cluster else None
        owned = owner_of(key.cluster, key.name, decoded.labels, self.oldest_first(context), labels)
        return {(key.cluster, key.name): owned}

    def ownership(self, context: Context, key: ObjectKey) -> Ownership:
        return context.get(self.pairs, (key.cluster, key.namespace)) or Ownership()

    def owner(self, context: Context, key: ObjectKey) -> str | None:
        return self.ownership(context, key).workspace

    def config_owner(self, context: Context, key: ObjectKey) -> str | None:
        """The workspace for which the object is configuration; None when it takes no part."""
        owned = self.ownership(context, key)
        return owned.workspace if owned.config_enabled else None

    # ---------------------------------------------------------------- settings and sharing

    def _is_global(self, key: ObjectKey) -> bool:
        return is_global(key, self._place.cluster, self._place.admin_namespace)

    def _settings_owner(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, str]:
        if self._is_global(key):
            return {}
        owner = self.config_owner(context, key)
        return {key: owner} if owner else {}

    def _view(self, context: Context, key: ObjectKey) -> SettingsView | None:
        decoded = context.get(self._settings_input, key)
        if decoded is None:
            return None
        valid = decoded.last_valid
        return SettingsView(key=key, spec=valid.spec if valid else None, created=decoded.created or None)

    def _effective(self, context: Context, name: str, view: WorkspaceView) -> dict[str, Effective]:
        mine = [self._view(context, key) for key in context.by(self._settings_by_workspace, name)]
        candidates = sorted((v for v in mine if v), key=lambda v: seniority(v.created, v.key))
        chosen, losers = pick_settings(candidates)
        everywhere = self._view(context, ObjectKey(SETTINGS, self._place.cluster, self._place.admin_namespace, GLOBAL))
        spec = effective_settings(chosen.spec if chosen else None, everywhere.spec if everywhere else None)
        return {name: Effective(spec=spec, chosen=chosen.key if chosen else None, losers=tuple(v.key for v in losers))}

    def spec(self, context: Context, workspace: str) -> WorkspaceSettingsSpec:
        effective = context.get(self.settings, workspace)
        return effective.spec if effective else WorkspaceSettingsSpec()

    def global_settings(self, context: Context) -> WorkspaceSettingsSpec | None:
        key = ObjectKey(SETTINGS, self._place.cluster, self._place.admin_namespace, GLOBAL)
        view = self._view(context, key)
        return view.spec if view else None

    def sharing(self, context: Context, owner: str, importer: str) -> Sharing | None:
        first, second = context.get(self.workspaces, owner), context.get(self.workspaces, importer)
        if first is None or second is None:
            return None
        return sharing_between(
            self.spec(context, owner),
            self.spec(context, importer),
            WorkspaceId(owner, first.labels),
            WorkspaceId(importer, second.labels),
        )

    def available(self, context: Context, key: ObjectKey, labels: Mapping[str, str], workspace: str) -> bool:
        """Owned by the workspace, or exported to it and imported there (workspaces.md §5)."""
        owner = self.owner(context, key)
        if owner is None:
            return False
        if owner == workspace:
            return True
        way = self.sharing(context, owner, workspace)
        return way is not None and way.admits(key, labels)
