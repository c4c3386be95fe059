"""Small objects and a small world for the tests of destinations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, get_args

import msgspec
import yaml
from msgspec.structs import fields

from fingerpost.api.admin.workspace_settings import Federation
from fingerpost.api.base import decode_hook
from fingerpost.api.common import DestinationKind, DestinationReference
from fingerpost.api.core.service import Service
from fingerpost.api.networking.external_endpoint import ExternalEndpoint
from fingerpost.api.networking.external_service import ExternalService
from fingerpost.api.networking.virtual_destination import VirtualDestination
from fingerpost.objects import ObjectKey
from mgmt.translate.ir import DestinationSettings
from mgmt.translate.routing.destination_views import (
    EXTERNAL_SERVICE,
    SERVICE,
    TYPE_OF_KIND,
    VIRTUAL_DESTINATION,
    DestinationView,
    ExternalServiceView,
    ServiceView,
    VirtualDestinationView,
    external_service_view,
    service_view,
    virtual_destination_view,
)
from mgmt.translate.routing.external_services import ExternalEndpointView
from mgmt.translate.routing.federation import federate

TABLE = ObjectKey("networking.gloo.solo.io/RouteTable", "east", "shop", "web")


def reference(text: str) -> DestinationReference:
    return msgspec.convert(yaml.safe_load(text), DestinationReference)


def decoded(text: str, type_: type[Any]) -> Any:
    return msgspec.convert(yaml.safe_load(text), type_, dec_hook=decode_hook)


def service(
    name: str = "cart",
    cluster: str = "east",
    *,
    namespace: str = "shop",
    ports: str = "[{port: 80, name: http}]",
    created: str = "2026-01-01T00:00:00Z",
    more: str = "",
) -> ServiceView:
    text = f"metadata: {{labels: {{app: {name}}}, creationTimestamp: '{created}'}}\nspec: {{ports: {ports}{more}}}"
    view = service_view(ObjectKey(SERVICE, cluster, namespace, name), decoded(text, Service))
    assert view is not None
    return view


def virtual(
    spec: str,
    name: str = "cart",
    cluster: str = "east",
    *,
    created: str = "2026-01-01T00:00:00Z",
    workspace: str = "shop",
) -> VirtualDestinationView:
    obj = decoded(f"metadata: {{creationTimestamp: '{created}'}}\nspec: {spec}", VirtualDestination)
    return virtual_destination_view(ObjectKey(VIRTUAL_DESTINATION, cluster, "shop", name), obj, workspace)


def external(spec: str, name: str = "legacy", cluster: str = "east") -> ExternalServiceView:
    obj = decoded(f"metadata: {{}}\nspec: {spec}", ExternalService)
    return external_service_view(ObjectKey(EXTERNAL_SERVICE, cluster, "shop", name), obj, "shop")


def endpoint(spec: str, name: str, labels: Mapping[str, str]) -> ExternalEndpointView:
    obj = decoded(f"metadata: {{}}\nspec: {spec}", ExternalEndpoint)
    key = ObjectKey("networking.gloo.solo.io/ExternalEndpoint", "east", "shop", name)
    return ExternalEndpointView(key=key, spec=obj.spec, labels=tuple(sorted(labels.items())))


class World:
    """Namespaces belong to the workspace of the same name; `shared` names the workspaces that imported an object."""

    def __init__(
        self, views: Iterable[DestinationView], shared: Mapping[ObjectKey, Iterable[str]] | None = None
    ) -> None:
        self.views = {v.key: v for v in views}
        self.shared = {key: set(names) for key, names in (shared or {}).items()}
        self.holders: dict[tuple[str, str], ObjectKey] = {}
        self.federations: dict[str, Federation] = {}

    def service(self, key: ObjectKey) -> Any:
        return self.views.get(key)

    virtual_destination = service
    external_service = service

    def federated(self, key: ObjectKey, workspace: str) -> VirtualDestinationView | None:
        federation = self.federations.get(workspace)
        return federate(self.views[key], key.namespace, workspace, federation) if federation else None  # type: ignore[arg-type]  # a Service's

    def find(self, kind: DestinationKind, namespace: str, name: str) -> list[ObjectKey]:
        assert kind is not DestinationKind.SERVICE
        wanted = (TYPE_OF_KIND[kind], namespace, name)
        return [k for k in self.views if (k.type, k.namespace, k.name) == wanted]

    def available(self, key: ObjectKey, workspace: str) -> bool:
        return key.namespace == workspace or workspace in self.shared.get(key, ())

    def owner(self, cluster: str, namespace: str) -> str | None:
        return namespace

    def cluster_domain(self, cluster: str) -> str:
        return f"{cluster}.local"

    def host_holder(self, host: str, workspace: str) -> ObjectKey | None:
        return self.holders.get((host, workspace))


def settings() -> Iterator[tuple[str, DestinationSettings, DestinationSettings]]:
    """Each field that a policy settles, and each part of it: without it and with it."""
    for field in fields(DestinationSettings):
        if field.name == "policies":  # whose settings they are
            continue
        [value_type] = [t for t in get_args(field.type) if t is not NoneType]
        plain = DestinationSettings(**{field.name: value_type()})
        yield field.name, DestinationSettings(), plain
        for part in fields(value_type):
            other = {part.name: (getattr(value_type(), part.name) or 0) + 1}
            yield f"{field.name}.{part.name}", plain, DestinationSettings(**{field.name: value_type(**other)})
