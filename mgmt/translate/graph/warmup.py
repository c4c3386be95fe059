"""Safe mode (relay.md §7.3): what must stay as it is while a cluster that once reported has not done so yet.

A contribution depends on every cluster in which its workspace, or one that it imports from, could own a namespace, and
on those of the workspace whose gateway carries it; what that one imports besides is no input of it. A missing input is
never read as an empty one. Only asked while a cluster is cold, so it may look at everything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from fingerpost.objects import ObjectKey
from fingerpost.relay.pieces import KEEP_CLUSTER
from mgmt.translate.engine import Context
from mgmt.translate.graph.istio import IstioGraph
from mgmt.translate.graph.ownership import OwnershipGraph
from mgmt.translate.graph.tables import TableGraph
from mgmt.translate.scopes import Composer, ObjectClass, ScopeClass
from mgmt.translate.workspace.ownership import workspace_clusters

_NAMED = 3  # clusters in one reason; `check` names all


class Warmup:
    def __init__(self, owners: OwnershipGraph, tables: TableGraph, istio: IstioGraph, composer: Composer) -> None:
        self._owners = owners
        self._tables = tables
        self._istio = istio
        self._composer = composer

    def _workspace_dependencies(self) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
        """Workspace -> the clusters in which it could own a namespace; the same with those that it imports from."""
        context = Context.untracked()
        clusters = {name: c.labels for name, c in self._owners.all_clusters(context).items()}
        workspaces = self._owners.workspaces.items
        own = {name: workspace_clusters(view, clusters) for name, view in workspaces.items()}
        out = {}
        for name in workspaces:
            imported = [other for other in workspaces if self._owners.sharing(context, other, name)]
            out[name] = own[name].union(*(own[other] for other in imported))
        return own, out

    def keeps(self, cold: frozenset[str]) -> Mapping[ScopeClass, Mapping[str, str]]:
        own, depends = self._workspace_dependencies()
        context = Context.untracked()

        @cache  # of thousands of objects most have the same owner and carriers
        def missing(owner: str, cluster: str, carriers: tuple[str, ...]) -> str:
            needed = depends.get(owner, frozenset()).union(*(own.get(w, frozenset()) for w in carriers))
            return _some((needed | {cluster}) & cold)

        def waiting(key: ObjectKey, *carriers: str) -> str:
            return missing(self._owners.owner(context, key) or "", key.cluster, carriers)

        homes = {f"{KEEP_CLUSTER}{name}": f"WaitingForCluster: {name}" for name in sorted(cold)}
        out: dict[ScopeClass, dict[str, str]] = {}
        for gateway_class in self._composer.classes():
            keep = dict(homes)
            roots = {key for rc, key in self._tables.contributions.items if rc in gateway_class.routes}
            roots |= {d.object for d in self._composer.uses_of(gateway_class)}
            for root in roots:
                if clusters := waiting(root, *(r.workspace for r in gateway_class.routes)):
                    keep[root.contribution] = f"WaitingForCluster: {clusters}"
            out[gateway_class] = keep
        carriers: dict[str, set[str]] = {}
        for gateway, workspace in self._istio.doors.seats.items.items():
            carriers.setdefault(gateway.cluster, set()).add(workspace)
        for cluster in self._istio.clusters.items:
            out.setdefault(ObjectClass(cluster=cluster), dict(homes))
        for key, obj in self._istio.objects.items.items():
            at = ObjectClass(cluster=key.cluster)
            needed = [waiting(parent, *carriers.get(key.cluster, ())) for parent in obj.parents]
            if at in out and any(needed):
                out[at][obj.contribution] = f"WaitingForCluster: {next(filter(None, needed))}"
        return out


def _some(cold: Collection[str]) -> str:
    """Not all of many: each of a fleet that comes back would change the words for every object."""
    first = sorted(cold)[:_NAMED]
    return ", ".join(first) + (" and others" if len(cold) > _NAMED else "")
