"""What was listed, by kind, with the few indexes that tell which Services a change concerns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from agent.discovery.locality import NOWHERE, Locality, locality_of
from agent.discovery.selection import Name, Selection
from fingerpost.api.core.endpoint_slice import EndpointSlice
from fingerpost.api.core.node import Node
from fingerpost.api.core.pod import Pod
from fingerpost.api.core.secret import Secret
from fingerpost.api.core.service import Service


class Inventory:
    """Every `put_*` answers which Services are concerned. None as the object means that it is gone."""

    def __init__(self) -> None:
        self.services: dict[Name, Service] = {}
        self.pods: dict[Name, Pod] = {}
        self.nodes: dict[str, Node] = {}
        self.secrets: dict[Name, Secret] = {}
        self._slices: dict[Name, EndpointSlice] = {}
        self._slices_of: defaultdict[Name, dict[str, EndpointSlice]] = defaultdict(dict)
        self._selection = Selection()
        self._localities: dict[str, Locality] = {}

    def put_service(self, key: Name, service: Service | None) -> set[Name]:
        before = self.services.pop(key, None)
        if before is not None:
            self._selection.drop_service(key, before.spec.selector)
        if service is not None:
            self.services[key] = service
            self._selection.add_service(key, service.spec.selector)
        return {key}

    def put_slice(self, key: Name, one: EndpointSlice | None) -> set[Name]:
        concerned = set()
        before = self._slices.pop(key, None)
        for there in (before, one):
            if there is not None and there.service_name:
                concerned.add((key[0], there.service_name))
        if before is not None and before.service_name:
            owner = self._slices_of[key[0], before.service_name]
            owner.pop(key[1], None)
            if not owner:
                del self._slices_of[key[0], before.service_name]
        if one is not None:
            self._slices[key] = one
            if one.service_name:
                self._slices_of[key[0], one.service_name][key[1]] = one
        return concerned

    def put_pod(self, key: Name, pod: Pod | None) -> set[Name]:
        """The Services that select it, before or now; those that list it are known to whoever listed them."""
        concerned = set()
        before = self.pods.pop(key, None)
        if before is not None:
            self._selection.drop_pod(key, before.metadata.labels)
            concerned = self._selection.services_of(key[0], before.metadata.labels)
        if pod is not None:
            self.pods[key] = pod
            self._selection.add_pod(key, pod.metadata.labels)
            concerned |= self._selection.services_of(key[0], pod.metadata.labels)
        return concerned

    def put_node(self, name: str, node: Node | None) -> bool:
        """False when nothing changed that anybody here reads."""
        before = self.nodes.pop(name, None)
        known = self._localities.pop(name, None)
        if node is not None:
            self.nodes[name] = node
            self._localities[name] = locality_of(node.metadata.labels)
        if before is None or node is None:
            return before is not node
        return known != self._localities[name] or before.status.addresses != node.status.addresses

    def put_secret(self, key: Name, secret: Secret | None) -> None:
        self.secrets.pop(key, None)
        if secret is not None:
            self.secrets[key] = secret

    def slices_of(self, service: Name) -> Iterable[EndpointSlice]:
        found = self._slices_of.get(service, {})
        return [found[name] for name in sorted(found)]

    def selected_by(self, key: Name, service: Service) -> list[Pod]:
        """Sorted by name."""
        return [self.pods[key[0], name] for name in self._selection.pods_of(key[0], service.spec.selector)]

    def pod(self, namespace: str, name: str) -> Pod | None:
        return self.pods.get((namespace, name))

    def node(self, name: str) -> Node | None:
        return self.nodes.get(name)

    def locality(self, node: str) -> Locality:
        return self._localities.get(node, NOWHERE)
