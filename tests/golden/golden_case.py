"""A golden case: a folder of manifests per cluster, and what the translator makes of them.

Every case starts from the fleet in `base/`; a manifest of the case replaces the one of the base with the same name.
`mgmt.in.yaml` opens with a line that says what the case proves and one that names the statements: `# spec: R-47 R-48`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from google.protobuf import json_format

from fingerpost.objects import ObjectKey, canonical, trim, type_of
from fingerpost.problems import Problem
from fingerpost.relay.pieces import join
from fingerpost.relay.v1 import endpoints_pb2
from mgmt.publish.scope import ResourceSet
from mgmt.translate.emit.istio.objects import CANNOT_EXPRESS, IstioObject
from mgmt.translate.graph.ownership import Place
from mgmt.translate.scopes import ResourceKey
from mgmt.translate.status import Status
from mgmt.translate.translator import translate
from tests.istio_world import IstioWorld

HERE = Path(__file__).parent
KNOWN_TYPES = (previous_hosts_pb2,)  # what the outputs name besides what the translator imports
PLACE = Place(cluster="mgmt", admin_namespace="gloo-mesh")
MESSAGES: dict[str, Any] = {
    "cluster": cluster_pb2.Cluster,
    "endpoints": endpoints_pb2.EndpointsTemplate,
    "listener": listener_pb2.Listener,
    "routes": route_pb2.RouteConfiguration,
}


class Translated(NamedTuple):
    """`gateways`: cluster -> "<namespace>/<name>" -> resources as bytes."""

    gateways: Mapping[str, Mapping[str, Mapping[ResourceKey, bytes]]]
    statuses: Mapping[ObjectKey, Status]


class Case(NamedTuple):
    folder: Path

    @property
    def name(self) -> str:
        return "/".join(self.folder.parts[-2:])

    @property
    def statements(self) -> tuple[str, ...]:
        lines = (self.folder / "mgmt.in.yaml").read_text().splitlines()
        said = next((line for line in lines[:4] if line.startswith("# spec:")), "# spec:")
        return tuple(said.removeprefix("# spec:").split())

    def objects(self) -> dict[ObjectKey, bytes]:
        base = {key: body for file in sorted((HERE / "base").glob("*.in.yaml")) for key, body in _read(file)}
        own = {key: body for file in sorted(self.folder.glob("*.in.yaml")) for key, body in _read(file)}
        return {key: body for key, body in {**base, **own}.items() if body is not None}

    def own_keys(self) -> frozenset[ObjectKey]:
        """What the case itself declares: of these the statuses are in its output."""
        return frozenset(key for file in self.folder.glob("*.in.yaml") for key, _ in _read(file))


def cases() -> list[Case]:
    return [Case(file.parent) for file in sorted(HERE.glob("*/*/mgmt.in.yaml"))]


def _read(file: Path) -> Iterator[tuple[ObjectKey, bytes | None]]:
    cluster = file.name.partition(".")[0]
    for obj in yaml.safe_load_all(file.read_text()):
        if obj is None:
            continue
        type_, metadata = type_of(obj["apiVersion"], obj["kind"]), obj["metadata"]
        key = ObjectKey(type_, cluster, metadata.get("namespace", ""), metadata["name"])
        absent = obj.pop("absent", False)  # takes an object of the base away
        yield key, None if absent else canonical(trim(type_, obj))


class ForIstio(NamedTuple):
    """What the same inputs give when every gateway is an Istio gateway. `limits`: what Istio cannot be told."""

    objects: Mapping[ObjectKey, IstioObject]
    limits: Mapping[ObjectKey, tuple[Problem, ...]]


def for_istio(objects: Mapping[ObjectKey, bytes]) -> ForIstio:
    world = IstioWorld(PLACE)
    world.feed(objects.items())
    limits = {
        key: mine
        for key, problems in world.graph.problems.items.items()
        if (mine := tuple(p for p in problems if p.code == CANNOT_EXPRESS))
    }
    return ForIstio(dict(world.graph.objects.items), limits)


def translated(objects: Mapping[ObjectKey, bytes]) -> Translated:
    translator, turn = translate(PLACE, objects)
    assert not translator.failures(), translator.failures()
    gateways: dict[str, dict[str, dict[ResourceKey, bytes]]] = {}
    for (cluster, name), gateway_class in turn.gateways.items():
        assert gateway_class is not None
        held = ResourceSet()
        held.change(turn.classes[gateway_class])
        resources = {key: join(pieces) for key, pieces in sorted(held.resources.items())}
        gateways.setdefault(cluster, {})[name] = resources
    return Translated(gateways, {k: s for k, s in turn.statuses.items() if s is not None})


def istio_outputs(found: ForIstio) -> dict[str, str]:
    by_cluster: dict[str, list[Any]] = {}
    for key, obj in sorted(found.objects.items()):
        by_cluster.setdefault(key.cluster, []).append(json.loads(obj.body))
    out = {f"{cluster}.istio.out.yaml": _documents(objects) for cluster, objects in by_cluster.items()}
    if found.limits:
        said = {
            str(key): [f"{p.path}: {p.message}" for p in problems] for key, problems in sorted(found.limits.items())
        }
        out["limits.istio.out.yaml"] = _yaml(said)
    return out


def _documents(objects: list[Any]) -> str:
    return yaml.safe_dump_all(objects, sort_keys=True, width=160, allow_unicode=True)


def outputs(case: Case, found: Translated) -> dict[str, str]:
    """File name -> text."""
    out = {}
    for cluster, gateways in sorted(found.gateways.items()):
        shown = {name: _resources(resources) for name, resources in sorted(gateways.items())}
        out[f"{cluster}.xds.out.yaml"] = _yaml(shown)
    mine = case.own_keys()
    statuses = {
        f"{key.kind} {key.cluster}/{key.namespace}/{key.name}": status.as_json()
        for key, status in sorted(found.statuses.items())
        if key in mine
    }
    out["status.out.yaml"] = _yaml(statuses)
    return out


def _resources(resources: Mapping[ResourceKey, bytes]) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {}
    for (type_, _), body in resources.items():
        message = MESSAGES[type_].FromString(body)
        out.setdefault(type_, []).append(json_format.MessageToDict(message, preserving_proto_field_name=True))
    return out


def _yaml(value: Any) -> str:
    plain = json.loads(json.dumps(value))  # without subclasses of str and the like
    return yaml.safe_dump(plain, sort_keys=True, width=160, allow_unicode=True)
