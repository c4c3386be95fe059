"""Random small fleets and random edits of them, from a seed: whatever a translator can be fed, right and wrong objects
alike.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from fingerpost.objects import ObjectKey, canonical, trim, type_of
from mgmt.translate.graph.ownership import Place
from tests.translate import random_specs as specs
from tests.translate.random_specs import APPS, CLUSTERS, NAMESPACES, WORKLOADS, WORKSPACES, Json, some

PLACE = Place(cluster="mgmt", admin_namespace="admin")
_NET, _ADMIN = "networking.gloo.solo.io/v2", "admin.gloo.solo.io/v2"
_RESILIENCE = "resilience.policy.gloo.solo.io/v2"
_TIMES = ("", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")

Edit = tuple[ObjectKey, bytes | None]


class Slot(NamedTuple):
    """An object that may exist. `spec` makes one of its shapes; `likely` is how often an edit leaves it in place."""

    api_version: str
    kind: str
    cluster: str
    namespace: str
    name: str
    spec: Callable[[Random], Json]
    likely: float = 0.8

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(type_of(self.api_version, self.kind), self.cluster, self.namespace, self.name)

    def body(self, random: Random) -> bytes:
        metadata: Json = {"name": self.name, "namespace": self.namespace, "generation": random.randint(1, 3)}
        app = self.name if some(random, 0.8) else random.choice(APPS)
        metadata["labels"] = {"app": app, "team": random.choice(("a", "b"))}
        if created := random.choice(_TIMES):
            metadata["creationTimestamp"] = created
        shape = self.spec(random)
        obj = {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata, "spec": shape}
        return canonical(trim(self.key.type, obj))


def _slots() -> tuple[Slot, ...]:
    out = [Slot(_ADMIN, "KubernetesCluster", "mgmt", "admin", c, specs.cluster, 0.9) for c in WORKLOADS]
    homes = zip(WORKSPACES, NAMESPACES, strict=True)
    out += [Slot(_ADMIN, "Workspace", "mgmt", "admin", w, specs.home(n), 0.9) for w, n in homes]
    out += [Slot(_ADMIN, "WorkspaceSettings", "mgmt", n, "settings", specs.settings) for n in NAMESPACES]
    out.append(Slot(_ADMIN, "WorkspaceSettings", "east", "shop", "settings", specs.settings, 0.3))
    out.append(Slot(_ADMIN, "WorkspaceSettings", "mgmt", "admin", "global", specs.settings, 0.5))
    for cluster in (*CLUSTERS, "north"):
        out += [Slot("v1", "Namespace", cluster, "", n, specs.nothing, 0.9) for n in NAMESPACES]
    for cluster in WORKLOADS:
        for app in APPS:
            out.append(Slot("v1", "Service", cluster, "shop", app, specs.service))
            out.append(Slot("fingerpost.dev/v1", "ServiceFacts", cluster, "shop", app, specs.facts))
        out.append(Slot("internal.gloo.solo.io/v2", "DiscoveredGateway", cluster, "gw", "ingress", specs.gateway, 0.9))
    out.append(Slot("internal.gloo.solo.io/v2", "DiscoveredGateway", "east", "shop", "second", specs.gateway, 0.6))
    for cluster, namespace, name in (("mgmt", "gw", "edge"), ("east", "gw", "edge"), ("mgmt", "shop", "inner")):
        out.append(Slot(_NET, "VirtualGateway", cluster, namespace, name, specs.virtual_gateway, 0.9))
    for cluster in CLUSTERS:
        for namespace, name in (("shop", "www"), ("pay", "www"), ("gw", "api")):
            out.append(Slot(_NET, "RouteTable", cluster, namespace, name, specs.table))
        for name in APPS:
            likely = 0.9 if cluster == "mgmt" else 0.4
            out.append(Slot(_NET, "VirtualDestination", cluster, "shop", name, specs.named(name), likely))
    for namespace in NAMESPACES[:2]:
        out.append(Slot(_NET, "VirtualDestination", "mgmt", "pay", f"more-{namespace}", specs.named("more"), 0.5))
        out.append(Slot(_NET, "ExternalService", "mgmt", namespace, "pay", specs.external_service, 0.6))
        out.append(Slot(_NET, "ExternalEndpoint", "mgmt", namespace, "far", specs.external_endpoint, 0.6))
        for name in ("calm", "strict"):
            policy = specs.outlier_detection_policy
            out.append(Slot(_RESILIENCE, "OutlierDetectionPolicy", "mgmt", namespace, name, policy, 0.7))
    out.append(Slot("security.policy.gloo.solo.io/v2", "JWTPolicy", "mgmt", "shop", "jwt", specs.nothing, 0.5))
    return tuple(out)


SLOTS = _slots()


def fleet(random: Random) -> dict[ObjectKey, bytes]:
    return {slot.key: slot.body(random) for slot in SLOTS if some(random, slot.likely)}


def edits(random: Random) -> list[Edit]:
    """One turn's: mostly one object, sometimes several at once."""
    chosen = random.sample(SLOTS, random.choice((1, 1, 1, 2, 5)))
    return [(slot.key, slot.body(random) if some(random, slot.likely) else None) for slot in chosen]


def edited(objects: dict[ObjectKey, bytes], changes: list[Edit]) -> None:
    for key, body in changes:
        if body is None:
            objects.pop(key, None)
        else:
            objects[key] = body
