"""All objects of one kind, as the API server has them now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fingerpost.cluster.kubernetes.api import Api, ApiFailed
from fingerpost.cluster.kubernetes.discovery import Resource
from fingerpost.cluster.kubernetes.reflector import Reflector, Scope

Object = dict[str, Any]
Name = tuple[str, str]

PODS = Resource("core/Pod", "/api/v1", "pods", namespaced=True, status=True)
SECRETS = Resource("core/Secret", "/api/v1", "secrets", namespaced=True, status=False)
CONFIG_MAPS = Resource("core/ConfigMap", "/api/v1", "configmaps", namespaced=True, status=False)
SERVICES = Resource("core/Service", "/api/v1", "services", namespaced=True, status=True)
SLICES = Resource(
    "discovery.k8s.io/EndpointSlice", "/apis/discovery.k8s.io/v1", "endpointslices", namespaced=True, status=False
)


class Watched:
    """`changed` is told each object that is new or other, and whether it is gone."""

    def __init__(self, api: Api, resource: Resource, changed: Callable[[Object, bool], None]) -> None:
        self.objects: dict[Name, Object] = {}
        self._changed = changed
        self.run = Reflector(api, Scope(resource), self).run

    def read(self, scope: Scope, obj: Object) -> Object:
        return obj

    def listed(self, scope: Scope, objects: Iterable[Object]) -> None:
        now = {_name(obj): obj for obj in objects}
        for name in self.objects.keys() - now.keys():
            self.changed(scope, self.objects[name], gone=True)
        for obj in now.values():
            self.changed(scope, obj, gone=False)

    def changed(self, scope: Scope, obj: Object, *, gone: bool) -> None:
        if gone:
            self.objects.pop(_name(obj), None)
        else:
            self.objects[_name(obj)] = obj
        self._changed(obj, gone)

    def failed(self, scope: Scope, error: ApiFailed) -> None:
        """What is known stays; the reflector tries again."""

    def recovered(self, scope: Scope) -> None: ...


def _name(obj: Object) -> Name:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
