"""Istio's discovery selectors: which namespaces are left out, and what happens when they change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from agent.discovery.kinds import NAMESPACE
from agent.discovery.selectors import MESH_CONFIG, DiscoverySelectors, names
from fingerpost.cluster.protocol import Batch, Change
from tests.unit.discovery.cluster_objects import change, gone, service

pytestmark = pytest.mark.spec("M-7")
MESH = ("istio-system", "istio")
ON = {"mesh": "on"}


def space(name: str, labels: Mapping[str, str] = {}) -> Change:
    return change("Namespace", name, namespace="", metadata={"labels": dict(labels)})


def mesh(*selectors: Any, name: str = "istio", text: str = "") -> Change:
    config = text or yaml.safe_dump({"trustDomain": "x", "discoverySelectors": list(selectors)})
    return change("ConfigMap", name, namespace="istio-system", data={"mesh": config, "meshNetworks": "networks: {}"})


def inside(namespace: str, name: str = "web") -> Change:
    return change("Service", name, namespace=namespace, spec={})


def batch(*changes: Change, listed: bool = False, unlisted: frozenset[str] = frozenset()) -> Batch:
    return Batch(changes, listed, (), 0, unlisted)


def shown(found: Batch) -> set[tuple[str, str]]:
    return {(c.key.kind, c.key.namespace or c.key.name) for c in found.changes if c.body is not None}


def left(found: Batch) -> set[tuple[str, str]]:
    return {(c.key.kind, c.key.namespace) for c in found.changes if c.body is None}


WORLD = (space("shop", ON), space("dark"), inside("shop"), inside("dark"))
ALL = {("Namespace", "shop"), ("Namespace", "dark"), ("Service", "shop"), ("Service", "dark")}
SOME = ALL - {("Service", "dark")}


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": ON},
        {"matchExpressions": [{"key": "mesh", "operator": "In", "values": ["on", "yes"]}]},
        {"matchExpressions": [{"key": "mesh", "operator": "Exists"}]},
        {"matchLabels": ON, "matchExpressions": [{"key": "gone", "operator": "DoesNotExist"}]},
        {"matchLabels": ON, "matchExpressions": [{"key": "mesh", "operator": "NotIn", "values": ["off"]}]},
    ],
)
def test_only_what_a_selector_matches_is_discovered(selector: dict[str, Any]) -> None:
    found = DiscoverySelectors([MESH]).take(batch(*WORLD, mesh(selector), listed=True))
    assert shown(found) == SOME, "the Namespace itself stays: workspaces select it"


@pytest.mark.parametrize(
    "config",
    [(), (mesh(),), (mesh({}),), (mesh(text="trustDomain: x"),), (mesh({"matchLabels": ON}, name="other"),)],
    ids=["no mesh", "no selectors", "selects all", "no field", "another ConfigMap"],
)
def test_without_selectors_everything_is_discovered(config: tuple[Change, ...]) -> None:
    assert shown(DiscoverySelectors([MESH]).take(batch(*WORLD, *config, listed=True))) == ALL


def test_entries_and_meshes_add_up() -> None:
    """A namespace is left out only when nobody looks at it."""
    other = {"matchLabels": {"kubernetes.io/metadata.name": "dark"}}
    named = space("dark", {"kubernetes.io/metadata.name": "dark"})
    two = DiscoverySelectors([MESH])
    assert shown(two.take(batch(*WORLD, named, mesh({"matchLabels": ON}, other), listed=True))) == ALL
    meshes = mesh({"matchLabels": ON}), mesh(other, name="istio-canary")
    both = DiscoverySelectors([MESH, ("istio-system", "istio-canary")])
    assert shown(both.take(batch(*WORLD, named, *meshes, listed=True))) == ALL
    assert left(both.take(batch(gone(meshes[1])))) == {("Service", "dark")}


def test_a_change_of_the_selectors_removes_by_name_and_brings_back() -> None:
    selectors = DiscoverySelectors([MESH])
    selectors.take(batch(*WORLD, listed=True))
    config = mesh({"matchLabels": ON})
    assert left(selectors.take(batch(config))) == {("Service", "dark")}
    assert selectors.take(batch(inside("dark", "second"))).changes == ()
    back = selectors.take(batch(gone(config)))
    assert sorted(c.key.name for c in back.changes) == ["second", "web"]
    assert left(back) == set()


def test_a_change_of_a_label_moves_one_namespace() -> None:
    selectors = DiscoverySelectors([MESH])
    selectors.take(batch(*WORLD, mesh({"matchLabels": ON}), listed=True))
    assert shown(selectors.take(batch(space("dark", ON)))) == {("Namespace", "dark"), ("Service", "dark")}
    assert left(selectors.take(batch(space("shop")))) == {("Service", "shop")}


def test_a_namespace_not_heard_of_yet_waits() -> None:
    selectors = DiscoverySelectors([MESH])
    selectors.take(batch(*WORLD, mesh({"matchLabels": ON}), listed=True))
    assert selectors.take(batch(inside("new"))).changes == ()
    assert shown(selectors.take(batch(space("new", ON)))) == {("Namespace", "new"), ("Service", "new")}


def test_what_cannot_be_told_excludes_nothing() -> None:
    config = mesh({"matchLabels": ON})
    blind = DiscoverySelectors([MESH])
    unlisted = frozenset({NAMESPACE})
    assert ("Service", "dark") in shown(blind.take(batch(inside("dark"), config, listed=True, unlisted=unlisted)))
    known = DiscoverySelectors([MESH])
    known.take(batch(*WORLD, config, listed=True))
    again = known.take(batch(*WORLD, listed=True, unlisted=frozenset({MESH_CONFIG})))
    assert shown(again) == SOME, "a mesh configuration that may not be read any more is not gone"
    assert shown(known.take(batch(*WORLD, listed=True))) == ALL


@pytest.mark.parametrize(
    "text", ["discoverySelectors: [{matchExpressions: [{key: a, operator: Like}]}]", "a: [", "- 1"]
)
def test_a_broken_mesh_configuration_changes_nothing_and_says_so(text: str) -> None:
    selectors = DiscoverySelectors([MESH])
    selectors.take(batch(*WORLD, mesh({"matchLabels": ON}), listed=True))
    assert selectors.take(batch(mesh(text=text))).changes == ()
    (finding,) = selectors.findings
    assert (finding.code, finding.source) == ("MeshConfigUnreadable", "ConfigMap istio in namespace istio-system")
    assert shown(selectors.take(batch(mesh({})))) == {("Service", "dark")}
    assert selectors.findings == ()


def test_a_deleted_object_of_an_excluded_namespace_does_not_come_back() -> None:
    selectors = DiscoverySelectors([MESH])
    config = mesh({"matchLabels": ON})
    selectors.take(batch(*WORLD, config, listed=True))
    selectors.take(batch(gone(inside("dark"))))
    assert selectors.take(batch(gone(config))).changes == ()
    relisted = selectors.take(batch(space("shop", ON), service(), listed=True))
    assert shown(relisted) == {("Namespace", "shop"), ("Service", "shop")}


def test_names_of_a_setting() -> None:
    assert names(["istio-system/istio", "mesh/istio-canary"]) == (MESH, ("mesh", "istio-canary"))
