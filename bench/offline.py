"""The same world as objects, for measurements without any process."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from bench import world
from fingerpost.objects import ObjectKey, canonical, trim, type_of


def brought(cluster: str, obj: dict[str, object]) -> tuple[ObjectKey, bytes]:
    """An object as a source of a cluster brings it."""
    type_ = type_of(str(obj["apiVersion"]), str(obj["kind"]))
    metadata = obj["metadata"]
    assert isinstance(metadata, dict)
    return ObjectKey(type_, cluster, metadata.get("namespace", ""), metadata["name"]), canonical(trim(type_, obj))


def edited(number: int, edit: int) -> tuple[ObjectKey, bytes]:
    """A table after an edit, as an agent or the server would bring it."""
    return brought("mgmt", world.table(number, edit))


def objects(tables: int, clusters: int = 1) -> dict[ObjectKey, bytes]:
    """`tables` tables and clusters with one gateway each, as agents and the server would bring them."""
    names = [f"c{number}" for number in range(clusters)]
    found: dict[ObjectKey, bytes] = {}

    def add(cluster: str, obj: dict[str, object]) -> None:
        key, body = brought(cluster, obj)
        found[key] = body

    with tempfile.TemporaryDirectory() as folder:
        world.write_management(Path(folder), names, 0)
        for obj in yaml.safe_load_all((Path(folder) / "mgmt" / "fleet.yaml").read_text()):
            add("mgmt", obj)
    for cluster in ("mgmt", *names):
        for namespace in ("shop", "gw", world.NAMESPACE):
            add(cluster, world.namespace(namespace))
    ports = [{"number": 8080, "name": "http", "target": 8080}]
    for name in names:
        add(
            name,
            {
                "apiVersion": "internal.gloo.solo.io/v2",
                "kind": "DiscoveredGateway",
                "metadata": {"name": "ingress", "namespace": "gw"},
                "spec": {"ports": ports, "workloadLabels": {"app": "gateway"}},
            },
        )
    for number in range(tables):
        key, body = edited(number, 0)
        found[key] = body
    return found
