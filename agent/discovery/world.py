"""World: one cluster as its agent sees it, kept up to date by changes.

From it follow the facts that go up, and the local endpoints that the xDS part fills in by itself. Work follows the
change: only Services that
a change concerns are looked at again. Pure: it neither watches nor sends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from agent.discovery import kinds
from agent.discovery.endpoints import NOTHING, Endpoint, Found, Surroundings, find
from agent.discovery.facts import body_of, is_hidden, secret_data, secret_facts, service_facts
from agent.discovery.gateways import discover
from agent.discovery.inventory import Inventory
from agent.discovery.locality import Locality, common
from agent.discovery.selection import Name
from fingerpost.api.internal import discovered_gateway
from fingerpost.api.internal import secret_facts as secret_facts_kind
from fingerpost.api.internal import service_facts as service_facts_kind
from fingerpost.cluster.protocol import Change
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem

_K = TypeVar("_K")


class Derived(NamedTuple):
    """What a change brought about. `facts` are to be pushed; the others name whose local view is another one now."""

    facts: tuple[Change, ...] = ()
    services_changed: frozenset[Name] = frozenset()  # their endpoints
    secrets_changed: frozenset[Name] = frozenset()
    nodes_changed: frozenset[str] = frozenset()


class _Concerned:
    """What has to be looked at again after a set of changes."""

    def __init__(self) -> None:
        self.services: set[Name] = set()
        self.secrets: set[Name] = set()
        self.nodes: set[str] = set()


class World:
    """`facts` are all that the server should know of this cluster."""

    def __init__(self, cluster: str, secret_key: bytes) -> None:
        self._cluster = cluster
        self._secret_key = secret_key
        self._known = Inventory()
        self._keys: set[ObjectKey] = set()
        self._service_bodies: dict[Name, bytes] = {}
        self._found: dict[Name, Found] = {}
        self._listing: defaultdict[Name, set[Name]] = defaultdict(set)  # pod -> Services whose slices name it
        self._gateway_nodes: dict[Name, frozenset[str]] = {}
        self._on_node: defaultdict[str, set[Name]] = defaultdict(set)
        self._around = Surroundings(self._known.pod, self._known.node, self._known.locality)
        self._interest: tuple[frozenset[str], tuple[str, ...], frozenset[str]] = (frozenset(), (), frozenset())
        self.facts: dict[ObjectKey, bytes] = {}
        self.problems: dict[ObjectKey, Problem] = {}
        self._put: dict[str, Callable[[ObjectKey, Any, _Concerned], None]] = {
            kinds.SERVICE: self._put_service,
            kinds.SLICE: self._put_slice,
            kinds.POD: self._put_pod,
            kinds.NODE: self._put_node,
            kinds.SECRET: self._put_secret,
        }

    # ------------------------------------------------------------ reading

    def endpoints(self, namespace: str, service: str, port: int) -> tuple[Endpoint, ...]:
        """Ready endpoints of a port (by the Service's port number) of a Service here; empty when there is none."""
        return self._found.get((namespace, service), NOTHING).ports.get(port, ())

    def of(self, namespace: str, service: str, port: int, subset: Mapping[str, str]) -> tuple[Endpoint, ...]:
        """Those whose pods carry all labels of `subset`."""
        found = self.endpoints(namespace, service, port)
        if not subset:
            return found
        wanted = subset.items()
        return tuple(endpoint for endpoint in found if wanted <= endpoint.labels.items())

    def ports(self, namespace: str, service: str) -> Mapping[int, tuple[Endpoint, ...]]:
        return self._found.get((namespace, service), NOTHING).ports

    def get(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """The data of a Secret, for proxies of this cluster only."""
        secret = self._known.secrets.get((namespace, name))
        return None if secret is None else secret_data(secret)

    def locality_of_proxy(self, namespace: str, instance: str) -> Locality | None:
        """`instance` is the name of the proxy's pod; None when it is not known here."""
        found = self._known.pod(namespace, instance)
        return self._known.locality(found.spec.node_name) if found else None

    def locality_of_gateway(self, namespace: str, service: str) -> Locality:
        """What the nodes of the gateway's pods have in common, for a proxy whose pod is not known here."""
        known = [self._known.locality(node) for node in self._gateway_nodes.get((namespace, service), ())]
        return common(known)

    # ------------------------------------------------------------ changing

    def apply(
        self, changes: Iterable[Change], *, listed: bool = False, unlisted: frozenset[str] = frozenset()
    ) -> Derived:
        """`listed`: these are all objects there are; what is not among them is gone, but of types `unlisted`."""
        given = list(changes)
        if listed:
            there = {change.key for change in given if change.body is not None}
            given += [Change(key, None) for key in sorted(self._keys - there) if key.type not in unlisted]
        concerned = _Concerned()
        out: dict[ObjectKey, bytes | None] = {}
        for change in given:
            self._apply(change, concerned, out)
        return self._derive(concerned, out)

    def set_interest(self, secrets: Iterable[str], label_keys: Iterable[str], services: Iterable[str]) -> Derived:
        """What the server asks facts about; Secrets and Services as "<namespace>/<name>"."""
        before = self._interest
        self._interest = (frozenset(secrets), tuple(sorted(set(label_keys))), frozenset(services))
        concerned = _Concerned()
        named = before[2] ^ self._interest[2] if before[1] == self._interest[1] else before[2] | self._interest[2]
        concerned.services = {_name(text) for text in named}
        out: dict[ObjectKey, bytes | None] = {}
        for key in concerned.services:
            self._derive_facts(key, out)
        for text in before[0] ^ self._interest[0]:
            self._derive_secret(_name(text), out)
        return Derived(facts=_changes(out))

    def _apply(self, change: Change, concerned: _Concerned, out: dict[ObjectKey, bytes | None]) -> None:
        key, body = change
        self.problems.pop(key, None)
        if body is None:
            self._keys.discard(key)
        else:
            self._keys.add(key)
        if kinds.is_internal(key.type):
            if body is not None:
                self.problems[key] = kinds.unwelcome(key)
        elif kinds.is_passed_on(key.type):
            self._emit(key, body, out)
        elif kinds.is_read(key.type):
            try:
                value = kinds.decode(change)
            except msgspec.ValidationError as error:
                self.problems[key] = kinds.undecodable(key, error)
                return  # what was there stays in force
            if key.type == kinds.SERVICE:
                self._keep_body((key.namespace, key.name), body)
            self._put[key.type](key, value, concerned)

    def _keep_body(self, name: Name, body: bytes | None) -> None:
        if body is None:
            self._service_bodies.pop(name, None)
        else:
            self._service_bodies[name] = body

    def _put_service(self, key: ObjectKey, value: Any, concerned: _Concerned) -> None:
        concerned.services |= self._known.put_service((key.namespace, key.name), value)

    def _put_slice(self, key: ObjectKey, value: Any, concerned: _Concerned) -> None:
        concerned.services |= self._known.put_slice((key.namespace, key.name), value)

    def _put_pod(self, key: ObjectKey, value: Any, concerned: _Concerned) -> None:
        name = (key.namespace, key.name)
        concerned.services |= self._known.put_pod(name, value)
        concerned.services |= self._listing.get(name, set())

    def _put_node(self, key: ObjectKey, value: Any, concerned: _Concerned) -> None:
        if self._known.put_node(key.name, value):
            concerned.nodes.add(key.name)

    def _put_secret(self, key: ObjectKey, value: Any, concerned: _Concerned) -> None:
        self._known.put_secret((key.namespace, key.name), value)
        concerned.secrets.add((key.namespace, key.name))

    # ------------------------------------------------------------ deriving

    def _derive(self, concerned: _Concerned, out: dict[ObjectKey, bytes | None]) -> Derived:
        for node in concerned.nodes:
            concerned.services |= self._on_node.get(node, set())
        changed = set()
        for key in sorted(concerned.services):
            if self._derive_endpoints(key):
                changed.add(key)
            self._derive_service(key, out)
        for key in sorted(concerned.secrets):
            self._derive_secret(key, out)
        return Derived(_changes(out), frozenset(changed), frozenset(concerned.secrets), frozenset(concerned.nodes))

    def _derive_endpoints(self, key: Name) -> bool:
        before = self._found.get(key, NOTHING)
        now = find(self._known.services.get(key), self._known.slices_of(key), self._around)
        for pod in before.pods - now.pods:
            _discard(self._listing, pod, key)
        for pod in now.pods - before.pods:
            self._listing[pod].add(key)
        if key in self._known.services:
            self._found[key] = now
        else:
            self._found.pop(key, None)
        self._follow_nodes(key, before.nodes, now.nodes)
        return before.ports != now.ports

    def _derive_service(self, key: Name, out: dict[ObjectKey, bytes | None]) -> None:
        service = self._known.services.get(key)
        gateway = None
        nodes: frozenset[str] = frozenset()
        if service is not None and not is_hidden(service):
            self._emit(self._key(kinds.SERVICE, key), self._service_bodies[key], out)
            pods = self._known.selected_by(key, service)
            gateway = discover(service, pods, self._known.node)
            if gateway is not None:
                nodes = frozenset(pod.spec.node_name for pod in pods if pod.spec.node_name)
        else:
            self._emit(self._key(kinds.SERVICE, key), None, out)
        self._emit(self._key(discovered_gateway.TYPE, key), body_of(gateway) if gateway else None, out)
        before = self._gateway_nodes.pop(key, frozenset())
        if nodes:
            self._gateway_nodes[key] = nodes
        self._follow_nodes(key, before, nodes)
        self._derive_facts(key, out)

    def _derive_facts(self, key: Name, out: dict[ObjectKey, bytes | None]) -> None:
        _, label_keys, services = self._interest
        service = self._known.services.get(key)
        wanted = service is not None and not is_hidden(service) and f"{key[0]}/{key[1]}" in services
        body = service_facts(service, self._found.get(key, NOTHING), label_keys) if wanted and service else None
        self._emit(self._key(service_facts_kind.TYPE, key), body, out)

    def _derive_secret(self, key: Name, out: dict[ObjectKey, bytes | None]) -> None:
        secret = self._known.secrets.get(key)
        wanted = secret is not None and f"{key[0]}/{key[1]}" in self._interest[0]
        body = secret_facts(secret, self._secret_key) if wanted and secret else None
        self._emit(self._key(secret_facts_kind.TYPE, key), body, out)

    def _follow_nodes(self, key: Name, before: frozenset[str], now: frozenset[str]) -> None:
        for node in now:
            self._on_node[node].add(key)
        for node in before - now:
            if node not in self._found.get(key, NOTHING).nodes and node not in self._gateway_nodes.get(key, ()):
                _discard(self._on_node, node, key)

    def _key(self, type_: str, name: Name) -> ObjectKey:
        return ObjectKey(type_, self._cluster, *name)

    def _emit(self, key: ObjectKey, body: bytes | None, out: dict[ObjectKey, bytes | None]) -> None:
        if self.facts.get(key) == body:
            return
        if body is None:
            del self.facts[key]
        else:
            self.facts[key] = body
        out[key] = body


def _name(text: str) -> Name:
    namespace, _, name = text.partition("/")
    return namespace, name


def _changes(out: Mapping[ObjectKey, bytes | None]) -> tuple[Change, ...]:
    return tuple(Change(key, body) for key, body in out.items())


def _discard(index: dict[_K, set[Name]], at: _K, name: Name) -> None:
    """Drop an entry, and the set with the last one."""
    names = index.get(at)
    if names is not None:
        names.discard(name)
        if not names:
            del index[at]
