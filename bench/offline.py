"""The same world as objects, for measurements without any process."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from bench import world
from fingerpost.objects import ObjectKey, canonical, trim, type_of


def objects(tables: int) -> dict[ObjectKey, bytes]:
    """One cluster with one gateway and `tables` tables, as an agent and the server would bring them."""
    found: dict[ObjectKey, bytes] = {}

    def add(cluster: str, obj: dict[str, object]) -> None:
        type_ = type_of(str(obj["apiVersion"]), str(obj["kind"]))
        metadata = obj["metadata"]
        assert isinstance(metadata, dict)
        key = ObjectKey(type_, cluster, metadata.get("namespace", ""), metadata["name"])
        found[key] = canonical(trim(type_, obj))

    with tempfile.TemporaryDirectory() as folder:
        world.write_management(Path(folder), ["c0"], 0)
        for obj in yaml.safe_load_all((Path(folder) / "mgmt" / "fleet.yaml").read_text()):
            add("mgmt", obj)
    for cluster in ("mgmt", "c0"):
        for namespace in ("shop", "gw", world.NAMESPACE):
            add(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    ports = [{"number": 8080, "name": "http", "target": 8080}]
    add(
        "c0",
        {
            "apiVersion": "internal.gloo.solo.io/v2",
            "kind": "DiscoveredGateway",
            "metadata": {"name": "ingress", "namespace": "gw"},
            "spec": {"ports": ports, "workloadLabels": {"app": "gateway"}},
        },
    )
    for number in range(tables):
        add("mgmt", world.table(number))
    return found
