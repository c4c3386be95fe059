"""What comes, changes and goes with an edit of tables, gateways and workspaces, at Istio gateways: those objects and no
others.
"""

from __future__ import annotations

import pytest
from fleet_of_shops import east_west, facts, shops, table
from written_objects import Written, after, approval, labelled, ports, users, world_of, written

from fingerpost.objects import ObjectKey
from tests.plain_world import entry

# ---------------------------------------------------------------- route tables


@pytest.mark.spec("R-180")
def test_every_virtual_service_of_a_table_is_found_by_its_name() -> None:
    world = world_of(shops(5, destinations=2))
    found = written(world, "VirtualService")
    for number in range(5):
        host = f"h{number}.shop.example"
        assert labelled(found, name=f"t{number}") == {k for k, o in found.items() if host in o["spec"]["hosts"]}
        assert {k.cluster for k in labelled(found, name=f"t{number}")} == {"east", "west"}


@pytest.mark.spec("R-181")
def test_what_a_deleted_table_leaves_is_nothing_of_its_own_and_everything_else() -> None:
    world = world_of(shops(5, destinations=2))
    key, _ = table(3)
    before, now = after(world, {key: None})
    own = labelled(before, kind="RouteTable", name="t3", namespace="shop", cluster="mgmt")
    assert {k.cluster for k in own} == {"east", "west"}
    assert now == {k: obj for k, obj in before.items() if k not in own}


@pytest.mark.spec("R-178")
def test_pods_that_come_and_go_change_no_virtual_service() -> None:
    world = world_of(shops(4, destinations=2) | east_west())
    for ready in ([], [8000]):
        before, now = after(world, {facts("east", 0, ready)[0]: facts("east", 0, ready)[1]})
        assert before != now, "another cluster's gateway has endpoints to forget, or to learn"
        assert virtual_services(now) == virtual_services(before) != {}


def virtual_services(objects: Written) -> Written:
    return {k: obj for k, obj in objects.items() if k.kind == "VirtualService"}


TWO_WORKSPACES = """
- apiVersion: admin.gloo.solo.io/v2
  kind: Workspace
  metadata: {name: all, namespace: gloo-mesh}
  spec: {workloadClusters: [{name: '*', namespaces: [{name: shop}, {name: gw}]}]}
- apiVersion: admin.gloo.solo.io/v2
  kind: Workspace
  metadata: {name: pay, namespace: gloo-mesh}
  spec: {workloadClusters: [{name: '*', namespaces: [{name: pay}]}]}
- {apiVersion: v1, kind: Namespace, metadata: {name: pay}}
- apiVersion: admin.gloo.solo.io/v2
  kind: WorkspaceSettings
  metadata: {name: all, namespace: shop}
  spec: {importFrom: [{workspaces: [{name: pay}]}], exportTo: [{workspaces: [{name: pay}]}]}
- apiVersion: admin.gloo.solo.io/v2
  kind: WorkspaceSettings
  metadata: {name: pay, namespace: pay}
  spec: {exportTo: [{workspaces: [{name: all}]}], importFrom: [{workspaces: [{name: all}]}]}
- apiVersion: networking.gloo.solo.io/v2
  kind: RouteTable
  metadata: {name: shared, namespace: pay}
  spec:
    hosts: [h0.shop.example, pay.shop.example]
    virtualGateways: [{name: edge, namespace: shop}]
    http: [{name: pay, matchers: [{uri: {prefix: /pay}}], directResponse: {status: 201}}]
"""


@pytest.mark.spec("R-62")
def test_tables_of_two_workspaces_share_no_virtual_service() -> None:
    world = world_of(shops(2) | users(TWO_WORKSPACES))
    owners: dict[ObjectKey, set[str]] = {
        key: {parent.namespace for parent in obj.parents}
        for key, obj in world.graph.objects.items.items()
        if key.kind == "VirtualService"
    }
    assert {"shop", "pay"} == set().union(*owners.values())
    assert all(len(namespaces) == 1 for namespaces in owners.values())
    of_pay = {key for key, namespaces in owners.items() if namespaces == {"pay"}}
    hosts = {host for key in of_pay for host in written(world)[key]["spec"]["hosts"]}
    assert "pay.shop.example" in hosts


# ---------------------------------------------------------------- gateways


LISTENERS = """
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {name: edge, namespace: shop}
  spec:
    workloads: [{selector: {labels: {app: gateway}}}]
    listeners: [{http: {}, port: {number: 80}}, {http: {}, port: {number: 8081}}]
"""


@pytest.mark.spec("R-38")
def test_a_listener_goes_with_its_server_and_a_gateway_with_its_last_workload() -> None:
    gateway = dict((entry("east", ports([80, 8081])),))
    world = world_of(shops(1) | gateway | users(LISTENERS))
    (key,) = (k for k in written(world, "Gateway") if k.cluster == "east")
    both = written(world)[key]["spec"]["servers"]
    assert [server["port"]["number"] for server in both] == [80, 8081]
    _, now = after(world, users(LISTENERS.replace(", {http: {}, port: {number: 8081}}", "")))
    assert now[key]["spec"]["servers"] == both[:1]
    _, now = after(world, dict.fromkeys(gateway))
    assert not [k for k in now if k.cluster == "east"]
    assert [k.cluster for k in now if k.kind == "Gateway"] == ["west"]


LABELS = """
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {name: edge, namespace: shop}
  spec: {workloads: [{selector: {labels: {app: gateway} CLUSTER}}], listeners: [{http: {}, port: {number: 80}}]}
"""


@pytest.mark.spec("W-52")
def test_labels_select_gateways_of_all_clusters_of_the_workspace_and_a_cluster_limits_them() -> None:
    world = world_of(shops(1) | users(LABELS.replace("CLUSTER", "")))
    assert {k.cluster for k in written(world, "Gateway")} == {"east", "west"}
    _, now = after(world, users(LABELS.replace("CLUSTER", ", cluster: east")))
    assert {k.cluster for k in now if k.kind == "Gateway"} == {"east"}
    only_west = "{workloadClusters: [{name: '*', namespaces: [{name: shop}]}, {name: west, namespaces: [{name: gw}]}]}"
    narrow = f"""
- apiVersion: admin.gloo.solo.io/v2
  kind: Workspace
  metadata: {{name: all, namespace: gloo-mesh}}
  spec: {only_west}
"""
    _, now = after(world, users(LABELS.replace("CLUSTER", "") + narrow))
    assert {k.cluster for k in now if k.kind == "Gateway"} == {"west"}, "that of east is not of this workspace"


OTHERS_GATEWAY = (
    TWO_WORKSPACES
    + """
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {name: claim, namespace: pay}
  spec: {workloads: [{selector: {labels: {app: gateway}}}], listeners: [{http: {}, port: {number: 80}}]}
"""
)


@pytest.mark.spec("W-53")
def test_a_gateway_belongs_to_the_workspace_of_its_namespace_alone() -> None:
    world = world_of(shops(1) | users(OTHERS_GATEWAY))
    assert labelled(written(world), name="claim") == set()
    assert {k.cluster for k in labelled(written(world), kind="VirtualGateway", name="edge")} == {"east", "west"}
    moved = OTHERS_GATEWAY.replace("[{name: shop}, {name: gw}]", "[{name: shop}]").replace(
        "[{name: pay}]}]}", "[{name: pay}, {name: gw}]}]}"
    )
    _, now = after(world, users(moved))
    assert {k.cluster for k in labelled(now, kind="VirtualGateway", name="claim")} == {"east", "west"}
    assert labelled(now, kind="VirtualGateway", name="edge") == set()


# ---------------------------------------------------------------- workspaces


@pytest.mark.spec("W-3")
def test_objects_are_translated_when_a_workspace_covers_them() -> None:
    objects = shops(2, destinations=1)
    (key,) = (k for k in objects if k.kind == "Workspace")
    world = world_of({k: body for k, body in objects.items() if k != key})
    mine = [k for k in objects if k.kind in ("RouteTable", "VirtualDestination", "VirtualGateway")]
    assert {approval(world, k) for k in mine} == {"PENDING"}
    assert written(world) == {}
    _, now = after(world, {key: objects[key]})
    assert {approval(world, k) for k in mine} == {"ACCEPTED"}
    assert now == written(world_of(objects))


@pytest.mark.spec("W-50")
def test_a_deleted_workspace_takes_its_outputs_from_every_cluster_and_leaves_the_users_objects() -> None:
    objects = shops(2, destinations=1) | users(TWO_WORKSPACES)
    world = world_of(objects)
    (key,) = (k for k in objects if k.name == "pay" and k.kind == "Workspace")
    before, now = after(world, {key: None})
    of_pay = labelled(before, namespace="pay")
    assert {k.cluster for k in of_pay} == {"east", "west"}
    assert labelled(now, namespace="pay") == set()
    assert labelled(now, name="t1") == labelled(before, name="t1") != set()
    last = next(k for k in objects if k.name == "all" and k.kind == "Workspace")
    assert after(world, {last: None})[1] == {}
    tables = {k for k in objects if k.kind == "RouteTable"}
    assert {k for k in world.translator.inputs["networking.gloo.solo.io/RouteTable"].items} == tables
    assert {approval(world, k) for k in tables} == {"PENDING"}
