"""What destination resolution may ask (`DestinationWorld`), answered from the graph so that every answer is noted as
read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fingerpost.api.admin.workspace_settings import Federation
from fingerpost.api.common import DestinationKind
from fingerpost.objects import ObjectKey
from mgmt.translate.engine import Collection, Context, Engine
from mgmt.translate.graph.inputs import EXTERNAL_ENDPOINT, Decoded, Inputs
from mgmt.translate.graph.ownership import OwnershipGraph
from mgmt.translate.routing.destination_views import (
    EXTERNAL_SERVICE,
    SERVICE,
    TYPE_OF_KIND,
    VIRTUAL_DESTINATION,
    ExternalServiceView,
    ServiceView,
    VirtualDestinationView,
    external_service_view,
    service_view,
    virtual_destination_view,
)
from mgmt.translate.routing.external_services import ExternalEndpointView
from mgmt.translate.routing.federation import federate
from mgmt.translate.routing.virtual_destinations import HostClaims, claim_hosts, host_claims
from mgmt.translate.workspace.ownership import WorkspaceView

FederatedKey = tuple[ObjectKey, str]  # Service, the workspace whose settings federate it


class _Members:
    """All workspaces' views of one federated name."""

    def __init__(self, name: tuple[ObjectKey, str]) -> None:
        self._views: dict[FederatedKey, VirtualDestinationView] = {}

    def change(self, key: FederatedKey, old: VirtualDestinationView | None, new: VirtualDestinationView | None) -> None:
        self._views.pop(key, None)
        if new is not None:
            self._views[key] = new

    def result(self) -> tuple[VirtualDestinationView, ...] | None:
        return tuple(view for _, view in sorted(self._views.items())) or None


class _Number:
    def __init__(self, group: object) -> None:
        self._count = 0

    def change(self, key: object, old: object | None, new: object | None) -> None:
        self._count += (new is not None) - (old is not None)

    def result(self) -> int | None:
        return self._count or None


class ViewGraph:
    """The views of all destinations, by workspace, and who holds which host where."""

    def __init__(self, engine: Engine, inputs: Inputs, owners: OwnershipGraph) -> None:
        self.owners = owners
        self.services = engine.step("services", inputs[SERVICE], self._service)
        self.services_by_workspace = self.services.index(self._workspaces)
        self.virtual = engine.step("virtual destinations", inputs[VIRTUAL_DESTINATION], self._virtual)
        self.virtual_by_name = self.virtual.index(lambda key, _: ((key.namespace, key.name),))
        self.virtual_by_workspace = self.virtual.index(lambda _, v: (v.workspace,))
        self.external = engine.step("external services", inputs[EXTERNAL_SERVICE], self._external)
        self.external_by_name = self.external.index(lambda key, _: ((key.namespace, key.name),))
        self.external_by_workspace = self.external.index(lambda _, v: (v.workspace,))
        self.endpoints = engine.step("external endpoints", inputs[EXTERNAL_ENDPOINT], self._endpoint)
        self.endpoints_by_workspace = self.endpoints.index(self._workspaces)
        self.federations = engine.step("federations", owners.workspaces, self._federation)
        self.federated = engine.step("federated services", self.services, self._federate)
        self.federated_by_workspace = self.federated.index(lambda key, _: (key[1],))
        self.federated_by_service = self.federated.index(lambda key, _: (key[0],))
        self.federated_names = engine.fold(
            "federated names", (self.federated,), lambda key, view: ((key[0], view.hosts[0]),), _Members
        )
        self.federated_count = engine.fold(
            "federated services by cluster", (self.federated,), lambda key, _: ((key[1], key[0].cluster),), _Number
        )
        self.federated_count_by_workspace = self.federated_count.index(lambda key, _: (key[0],))
        self.hosts = engine.step("hosts held", owners.workspaces, self._hosts)

    def _workspaces(self, key: ObjectKey, view: object) -> Iterable[str]:
        # The owner of a pair is a property of the pair; asking it here would not be tracked, so views carry it.
        return (view[1],) if isinstance(view, tuple) and view[1] else ()

    def _service(
        self, context: Context, key: ObjectKey, decoded: Decoded
    ) -> dict[ObjectKey, tuple[ServiceView, str | None]]:
        view = service_view(key, decoded.obj) if decoded.obj is not None else None
        return {key: (view, self.owners.owner(context, key))} if view else {}

    def _virtual(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, VirtualDestinationView]:
        workspace = self.owners.config_owner(context, key)
        if decoded.obj is None or workspace is None:
            return {}
        return {key: virtual_destination_view(key, decoded.obj, workspace)}

    def _external(self, context: Context, key: ObjectKey, decoded: Decoded) -> dict[ObjectKey, ExternalServiceView]:
        workspace = self.owners.config_owner(context, key)
        if decoded.obj is None or workspace is None:
            return {}
        return {key: external_service_view(key, decoded.obj, workspace)}

    def _endpoint(
        self, context: Context, key: ObjectKey, decoded: Decoded
    ) -> dict[ObjectKey, tuple[ExternalEndpointView, str | None]]:
        if decoded.obj is None:
            return {}
        labels = tuple(sorted(decoded.labels.items()))
        view = ExternalEndpointView(key=key, spec=decoded.obj.spec, labels=labels)
        return {key: (view, self.owners.config_owner(context, key))}

    def _federation(self, context: Context, name: str, workspace: WorkspaceView) -> dict[str, Federation]:
        options = self.owners.spec(context, name).options
        federation = options.federation if options else None
        return {name: federation} if federation and federation.enabled else {}

    def _federate(
        self, context: Context, key: ObjectKey, service: tuple[ServiceView, str | None]
    ) -> dict[FederatedKey, VirtualDestinationView]:
        view, owner = service
        found = {}
        for workspace, federation in context.all(self.federations).items():
            if self.owners.available(context, key, dict(view.labels), workspace):
                federated = federate(view, owner, workspace, federation)
                if federated is not None:
                    found[key, workspace] = federated
        return found

    # ---------------------------------------------------------------- what a workspace can see

    def available_services(self, context: Context, workspace: str) -> list[ServiceView]:
        mine = [view for view, _ in context.by(self.services_by_workspace, workspace).values()]
        for other in context.all(self.owners.workspaces):
            if other != workspace and self.owners.sharing(context, other, workspace):
                for view, _ in context.by(self.services_by_workspace, other).values():
                    if self.owners.available(context, view.key, dict(view.labels), workspace):
                        mine.append(view)
        return mine

    def available_external(self, context: Context, workspace: str) -> list[ExternalServiceView]:
        mine = list(context.by(self.external_by_workspace, workspace).values())
        for other in context.all(self.owners.workspaces):
            if other != workspace and self.owners.sharing(context, other, workspace):
                for view in context.by(self.external_by_workspace, other).values():
                    if self.owners.available(context, view.key, dict(view.labels), workspace):
                        mine.append(view)
        return mine

    def available_virtual(self, context: Context, workspace: str) -> list[VirtualDestinationView]:
        mine = list(context.by(self.virtual_by_workspace, workspace).values())
        for other in context.all(self.owners.workspaces):
            if other != workspace and self.owners.sharing(context, other, workspace):
                for view in context.by(self.virtual_by_workspace, other).values():
                    if self.owners.available(context, view.key, dict(view.labels), workspace):
                        mine.append(view)
        return mine

    def _hosts(self, context: Context, name: str, workspace: WorkspaceView) -> dict[str, HostClaims]:
        views: list[VirtualDestinationView | ExternalServiceView] = [
            *self.available_virtual(context, name),
            *self.available_external(context, name),
            *context.by(self.federated_by_workspace, name).values(),
        ]
        return {name: claim_hosts(claim for view in views for claim in host_claims(view))}


class TrackedWorld:
    """`DestinationWorld` for one run of one step."""

    __slots__ = ("_context", "_views")

    def __init__(self, context: Context, views: ViewGraph) -> None:
        self._context = context
        self._views = views

    def service(self, key: ObjectKey) -> ServiceView | None:
        found = self._context.get(self._views.services, key)
        return found[0] if found else None

    def virtual_destination(self, key: ObjectKey) -> VirtualDestinationView | None:
        return self._context.get(self._views.virtual, key)

    def external_service(self, key: ObjectKey) -> ExternalServiceView | None:
        return self._context.get(self._views.external, key)

    def federated(self, key: ObjectKey, workspace: str) -> VirtualDestinationView | None:
        return self._context.get(self._views.federated, (key, workspace))

    def find(self, kind: DestinationKind, namespace: str, name: str) -> Iterable[ObjectKey]:
        if kind is DestinationKind.VIRTUAL_DESTINATION:
            return tuple(self._context.by(self._views.virtual_by_name, (namespace, name)))
        return tuple(self._context.by(self._views.external_by_name, (namespace, name)))

    def available(self, key: ObjectKey, workspace: str) -> bool:
        return self._views.owners.available(self._context, key, self._labels(key), workspace)

    def _labels(self, key: ObjectKey) -> Mapping[str, str]:
        if key.type == TYPE_OF_KIND[DestinationKind.SERVICE]:
            found = self._context.get(self._views.services, key)
            return dict(found[0].labels) if found else {}
        collection: Collection[ObjectKey, VirtualDestinationView | ExternalServiceView] = (
            self._views.virtual if key.type == VIRTUAL_DESTINATION else self._views.external  # type: ignore[assignment]
        )
        view = self._context.get(collection, key)
        return dict(view.labels) if view else {}

    def owner(self, cluster: str, namespace: str) -> str | None:
        return self._views.owners.owner(self._context, ObjectKey("", cluster, namespace, ""))

    def cluster_domain(self, cluster: str) -> str:
        view = self._views.owners.cluster(self._context, cluster)
        return view.domain if view else "cluster.local"

    def host_holder(self, host: str, workspace: str) -> ObjectKey | None:
        claims = self._context.get(self._views.hosts, workspace)
        return claims.holders.get(host) if claims else None
