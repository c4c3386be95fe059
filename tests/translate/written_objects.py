"""What a fleet with Istio gateways would have in its clusters, and how users find it there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from fingerpost.objects import ObjectKey
from tests.istio_world import IstioWorld
from tests.plain_world import PLACE, entry

Json = dict[str, Any]
Written = Mapping[ObjectKey, Json]


def written(world: IstioWorld, kind: str = "") -> Written:
    """What would be in all clusters."""
    return {k: json.loads(o.body) for k, o in world.graph.objects.items.items() if kind in ("", k.kind)}


def labelled(objects: Written, **wanted: str) -> set[ObjectKey]:
    """As `kubectl get -A -l gloo.solo.io/parent_<name>=<value>` finds them."""
    labels = {f"gloo.solo.io/parent_{name}": value for name, value in wanted.items()}
    return {k for k, obj in objects.items() if labels.items() <= obj["metadata"]["labels"].items()}


def users(text: str) -> dict[ObjectKey, bytes]:
    return dict(entry("mgmt", obj) for obj in yaml.safe_load(text))


def world_of(objects: Mapping[ObjectKey, bytes]) -> IstioWorld:
    world = IstioWorld(PLACE)
    world.feed(objects.items())
    return world


def after(world: IstioWorld, changes: Mapping[ObjectKey, bytes | None]) -> tuple[Written, Written]:
    """Before and after the edit."""
    before = written(world)
    world.feed(changes.items())
    return before, written(world)


def approval(world: IstioWorld, key: ObjectKey) -> str:
    status = world.translator.status(key)
    assert status is not None
    return status.approval.value


def ports(numbers: list[int]) -> Json:
    """The gateway of east, whose Service has these ports."""
    spec = {
        "workloadLabels": {"app": "gateway"},
        "ports": [{"number": n, "name": f"http-{n}", "target": n} for n in numbers],
    }
    metadata = {"name": "ingress", "namespace": "gw"}
    return {
        "apiVersion": "internal.gloo.solo.io/v2",
        "kind": "DiscoveredGateway",
        "metadata": metadata,
        "spec": spec,
    }
