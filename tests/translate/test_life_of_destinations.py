"""What comes, changes and goes with an edit of destinations and of their policies, at Istio gateways."""

from __future__ import annotations

import pytest
import yaml
from fleet_of_shops import east_west, facts, service, shops, virtual_destination
from written_objects import Written, after, approval, labelled, ports, users, world_of, written

from fingerpost.objects import ObjectKey
from tests.istio_world import IstioWorld
from tests.plain_world import entry

# ---------------------------------------------------------------- destinations


@pytest.mark.spec("D-82")
def test_backing_services_are_counted_over_all_clusters_ready_or_not() -> None:
    third = {
        "apiVersion": "admin.gloo.solo.io/v2",
        "kind": "KubernetesCluster",
        "metadata": {"name": "north", "namespace": "gloo-mesh"},
    }
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    more = dict((entry("mgmt", third), entry("north", space), service("north", 0), facts("north", 0, [])))
    world = world_of(shops(1, destinations=1) | more)
    status = world.translator.status(virtual_destination(0)[0])
    assert status is not None
    assert status.as_json()["numSelectedBackingServices"] == 3


@pytest.mark.spec("D-87")
def test_the_entries_of_a_virtual_destination_are_found_by_its_name() -> None:
    world = world_of(shops(4, destinations=4) | east_west())
    entries = written(world, "ServiceEntry")
    for number in range(4):
        found = labelled(entries, kind="VirtualDestination", name=f"app{number}")
        assert found == {k for k, o in entries.items() if f"app{number}.mesh" in o["spec"]["hosts"]}
        assert {k.cluster for k in found} == {"east", "west"}


SUBSETS = """
- apiVersion: networking.gloo.solo.io/v2
  kind: RouteTable
  metadata: {name: NAME, namespace: shop}
  spec:
    hosts: [NAME.shop.example]
    virtualGateways: [{name: edge}]
    http: [{forwardTo: {destinations: [{ref: {name: app0, cluster: east}, subset: {version: VERSION}}]}}]
"""
APP = "app0.shop.svc.cluster.local"


def subset(name: str, version: str) -> dict[ObjectKey, bytes]:
    return users(SUBSETS.replace("NAME", name).replace("VERSION", version))


@pytest.mark.spec("D-16", "D-17")
def test_subsets_of_a_host_are_in_one_rule_and_each_goes_with_its_last_route() -> None:
    # The name of such a Service means that of the gateway's own cluster, so that the gateways of east have it alone.
    world = world_of(shops(0, destinations=1) | subset("one", "v1") | subset("two", "v2"))
    (key,) = (k for k, o in written(world, "DestinationRule").items() if o["spec"]["host"] == APP)
    assert (key.cluster, key.namespace) == ("east", "gw")
    one, two = ({"name": f"version-{v}", "labels": {"version": v}} for v in ("v1", "v2"))
    assert written(world)[key]["spec"] == {"host": APP, "exportTo": ["."], "subsets": [one, two]}
    routed = {
        (obj["spec"]["hosts"][0], route["destination"]["host"], route["destination"]["subset"])
        for k, obj in written(world, "VirtualService").items()
        for http in obj["spec"]["http"]
        for route in http.get("route", ())
        if k.cluster == "east"
    }
    assert routed == {("one.shop.example", APP, "version-v1"), ("two.shop.example", APP, "version-v2")}
    _, now = after(world, dict.fromkeys(subset("one", "v1")))
    assert now[key]["spec"]["subsets"] == [two]
    _, now = after(world, dict.fromkeys(subset("two", "v2")))
    assert key not in now


AUDIENCE = """
- apiVersion: admin.gloo.solo.io/v2
  kind: Workspace
  metadata: {name: all, namespace: gloo-mesh}
  spec: {workloadClusters: [{name: '*', namespaces: [{name: shop}]}]}
- apiVersion: admin.gloo.solo.io/v2
  kind: Workspace
  metadata: {name: gateways, namespace: gloo-mesh}
  spec: {workloadClusters: [{name: east, namespaces: [{name: gw}]}, {name: mgmt, namespaces: [{name: gw}]}]}
- apiVersion: admin.gloo.solo.io/v2
  kind: WorkspaceSettings
  metadata: {name: all, namespace: shop}
  spec: {exportTo: [{workspaces: [{name: gateways}]}], importFrom: [{workspaces: [{name: gateways}]}]}
- {apiVersion: v1, kind: Namespace, metadata: {name: gw}}
"""
IMPORTS = """
- apiVersion: admin.gloo.solo.io/v2
  kind: WorkspaceSettings
  metadata: {name: gateways, namespace: gw}
  spec: {exportTo: [{workspaces: [{name: all}]}], importFrom: [{workspaces: [{name: all}]}]}
"""
ROUTE = """
- apiVersion: networking.gloo.solo.io/v2
  kind: VirtualGateway
  metadata: {name: front, namespace: gw}
  spec: {listeners: [{http: {}, port: {number: 80}}]}
- apiVersion: networking.gloo.solo.io/v2
  kind: RouteTable
  metadata: {name: www, namespace: shop}
  spec:
    hosts: [www.shop.example]
    virtualGateways: [{name: front, namespace: gw, cluster: mgmt}]
    http: [{forwardTo: {destinations: [{ref: {name: app0}, kind: VIRTUAL_DESTINATION, port: {number: 80}}]}}]
"""


def exported(world: IstioWorld) -> dict[tuple[str, str], list[str]]:
    """(cluster, namespace) of the entries of a host -> to whom they are visible there."""
    return {(k.cluster, k.namespace): o["spec"]["exportTo"] for k, o in written(world, "ServiceEntry").items()}


@pytest.mark.spec("D-44")
def test_a_host_is_exported_to_the_namespaces_of_those_who_import_it() -> None:
    world = world_of(shops(0, destinations=1) | users(AUDIENCE + IMPORTS + ROUTE))
    assert exported(world) == {("east", "shop"): ["gw", "shop"]}
    world.feed(users(IMPORTS.replace(", importFrom: [{workspaces: [{name: all}]}]", "")).items())
    assert exported(world) == {}, "and without a namespace that could reach it nothing of it is left"


@pytest.mark.spec("D-37")
def test_a_cluster_outside_the_audience_gets_nothing() -> None:
    north = {"apiVersion": "admin.gloo.solo.io/v2", "kind": "KubernetesCluster"}
    north["metadata"] = {"name": "north", "namespace": "gloo-mesh"}
    outside = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gw"}}
    gateway = {**ports([80])}
    more = dict((entry("mgmt", north), entry("north", outside), entry("north", gateway)))
    settings = AUDIENCE + IMPORTS + ROUTE
    world = world_of(shops(0, destinations=1) | more | users(settings))
    assert {k.cluster for k in written(world)} == {"east"}
    _, now = after(world, users(settings.replace("{name: east, namespaces", "{name: north, namespaces")))
    assert {k.cluster for k in now} == {"north"}, "whoever imports it"
    assert [k.kind for k in now if "ServiceEntry" in k.type] == ["ServiceEntry"]


# ---------------------------------------------------------------- policies


POLICY = """
- apiVersion: resilience.policy.gloo.solo.io/v2
  kind: OutlierDetectionPolicy
  metadata: {name: NAME, namespace: SPACE, generation: 3}
  spec:
    applyToDestinations: [{kind: VIRTUAL_DESTINATION, selector: {name: TARGET}}]
    config: {consecutiveErrors: ERRORS}
"""


def policy(name: str, target: str, errors: int, space: str = "shop") -> dict[ObjectKey, bytes]:
    text = POLICY.replace("NAME", name).replace("SPACE", space)
    return users(text.replace("TARGET", target).replace("ERRORS", str(errors)))


def ejecting(objects: Written) -> dict[str, int]:
    """Host -> after how many errors an endpoint is taken out."""
    out = {}
    for obj in objects.values():
        for port in obj["spec"].get("trafficPolicy", {}).get("portLevelSettings", ()):
            if "outlierDetection" in port:
                out[obj["spec"]["host"]] = port["outlierDetection"]["consecutive5xxErrors"]
    return out


@pytest.mark.spec("P-1")
def test_a_policy_in_no_workspace_waits_says_why_and_does_nothing() -> None:
    world = world_of(shops(2, destinations=2) | users(AUDIENCE + IMPORTS))
    before, now = after(world, own := policy("lost", "app0", 2, "nowhere"))
    assert now == before
    (key,) = own
    status = world.translator.status(key)
    assert status is not None
    assert status.approval.value == "PENDING"
    assert status.message == "namespace does not belong to any workspace"


@pytest.mark.spec("P-39")
def test_the_edit_of_a_policy_changes_what_it_selects_and_no_byte_else() -> None:
    world = world_of(shops(2, destinations=2) | policy("one", "app0", 2) | policy("two", "app1", 3))
    bodies = {k: o.body for k, o in world.graph.objects.items.items()}
    assert ejecting(written(world)) == {"app0.mesh": 2, "app1.mesh": 3}
    _, now = after(world, policy("one", "app0", 7))
    changed = {k for k, o in world.graph.objects.items.items() if o.body != bodies[k]}
    assert {now[k]["spec"]["host"] for k in changed} == {"app0.mesh"}
    assert ejecting(now) == {"app0.mesh": 7, "app1.mesh": 3}
    world.feed(policy("one", "app0", 2).items())
    assert {k: o.body for k, o in world.graph.objects.items.items()} == bodies


@pytest.mark.spec("P-45")
def test_a_policy_that_becomes_invalid_has_no_effect_any_more() -> None:
    world = world_of(shops(2, destinations=2))
    without = written(world)
    (key,) = policy("one", "app0", 2)
    before, now = after(world, policy("one", "app0", 2))
    assert ejecting(now) == {"app0.mesh": 2}
    assert before == without
    _, now = after(world, policy("one", "app0", 0))
    assert approval(world, key) == "INVALID"
    assert now == without, "the routes work on, as if it were not there"


@pytest.mark.spec("D-84", "P-41")
def test_the_generation_that_a_status_tells_is_that_of_the_outputs() -> None:
    world = world_of(shops(2, destinations=2))
    (key,) = policy("one", "app0", 2)
    for kind in ("VirtualDestination", "ExternalService"):
        for generation in (4, 5):
            obj = yaml.safe_load(DESTINATION.replace("KIND", kind).replace("GENERATION", str(generation)))
            world.feed([entry("mgmt", obj)])
            status = world.translator.status(entry("mgmt", obj)[0])
            assert status is not None
            assert status.as_json()["common"]["State"]["observedGeneration"] == generation
    for errors in (2, 3):
        text = POLICY.replace("NAME", "one").replace("SPACE", "shop").replace("TARGET", "app0")
        world.feed(users(text.replace("ERRORS", str(errors)).replace("generation: 3", f"generation: {errors}")).items())
        status = world.translator.status(key)
        assert status is not None
        assert status.observed_generation == ejecting(written(world))["app0.mesh"] == errors


DESTINATION = """
apiVersion: networking.gloo.solo.io/v2
kind: KIND
metadata: {name: more, namespace: shop, generation: GENERATION}
spec: {hosts: [more.example], ports: [{number: 80, protocol: HTTP}]}
"""
