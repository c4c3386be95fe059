"""A cluster that is registered later is in a Workspace that selects it by label, without an edit of the Workspace."""

from __future__ import annotations

import pytest
import yaml

from fingerpost.objects import ObjectKey
from mgmt.translate.graph.inputs import WORKSPACE
from mgmt.translate.translator import translate
from tests.plain_world import PLACE, entry

_WORLD = """
- {apiVersion: v1, kind: Namespace, metadata: {name: gloo-mesh}}
- apiVersion: admin.gloo.solo.io/v2
  kind: Workspace
  metadata: {name: all, namespace: gloo-mesh}
  spec: {workloadClusters: [{selector: {stage: live}, namespaces: [{name: '*'}]}]}
"""
_CLUSTER = "{apiVersion: admin.gloo.solo.io/v2, kind: KubernetesCluster, metadata: {name: north, namespace: gloo-mesh, "
_SHOP = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


@pytest.mark.spec("M-28")
@pytest.mark.parametrize(("stage", "selected"), [("live", 1), ("test", 0)])
def test_a_cluster_that_is_registered_later_is_selected_by_its_labels(stage: str, selected: int) -> None:
    translator, _ = translate(PLACE, dict(entry("mgmt", obj) for obj in yaml.safe_load(_WORLD)))
    cluster = yaml.safe_load(_CLUSTER + f"labels: {{stage: {stage}}}}}}}")
    translator.feed([entry("mgmt", cluster), entry("north", _SHOP)])
    translator.turn()
    owner = translator.owners.owner(translator.peek(), ObjectKey("", "north", "shop", ""))
    assert owner == ("all" if selected else None)
    status = translator.status(ObjectKey(WORKSPACE, "mgmt", "gloo-mesh", "all"))
    assert status is not None
    assert status.as_json()["numSelectedClusters"] == selected
