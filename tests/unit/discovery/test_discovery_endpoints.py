"""The local endpoints of Services: readiness, ports, locality, labels."""

from __future__ import annotations

import pytest

from agent.discovery.locality import Locality
from agent.discovery.world import World
from tests.unit.discovery.cluster_objects import endpoint, gone, node, pod, service, slices


@pytest.fixture
def world() -> World:
    return World("c1", b"k" * 32)


def _addresses(world: World, port: int = 80) -> list[tuple[str, int]]:
    return [(e.address, e.port) for e in world.endpoints("shop", "web", port)]


@pytest.mark.spec("D-18")
def test_only_ready_endpoints_that_are_not_terminating(world: World) -> None:
    world.apply(
        [
            service(),
            slices(
                [
                    endpoint("10.0.0.1"),
                    endpoint("10.0.0.2", conditions={"ready": False}),
                    endpoint("10.0.0.3", conditions={"ready": True, "terminating": True}),
                    endpoint("10.0.0.4", conditions={}),
                ]
            ),
        ]
    )
    assert _addresses(world) == [("10.0.0.1", 8080), ("10.0.0.4", 8080)]


def test_ports_belong_together_by_name_whatever_their_numbers(world: World) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web"}, {"name": "admin", "port": 9000, "targetPort": 9001}]
    world.apply([service(ports=ports)])
    world.apply([slices([endpoint("10.0.0.1")], ports=[("http", 8080), ("admin", 9001)])])
    world.apply([slices([endpoint("10.0.0.2")], name="web-2", ports=[("http", 8081)])])
    assert _addresses(world) == [("10.0.0.1", 8080), ("10.0.0.2", 8081)]
    assert _addresses(world, 9000) == [("10.0.0.1", 9001)]
    assert _addresses(world, 9001) == []


def test_a_change_names_the_services_whose_endpoints_are_others_now(world: World) -> None:
    first = slices([endpoint("10.0.0.1", "p1")])
    world.apply([service(), service("other")])
    assert world.apply([first]).services_changed == {("shop", "web")}
    assert world.apply([slices([endpoint("10.0.0.1", "p1")])]).services_changed == frozenset()
    assert world.apply([pod("p1", labels={"version": "v2"})]).services_changed == {("shop", "web")}
    (only,) = world.of("shop", "web", 80, {"version": "v2"})
    assert only.labels == {"app": "web", "version": "v2"}
    assert world.of("shop", "web", 80, {"version": "v3"}) == ()
    assert world.apply([pod("p1", labels={"version": "v2"}, ready=False)]).services_changed == frozenset()
    assert world.apply([gone(first)]).services_changed == {("shop", "web")}
    assert _addresses(world) == []


def test_without_pod_and_node_objects_an_endpoint_still_counts(world: World) -> None:
    world.apply([service(selector={}), slices([endpoint("10.0.0.1", zone="z1", nodeName="n1")])])
    (only,) = world.endpoints("shop", "web", 80)
    assert (only.labels, only.has_sidecar, only.region, only.zone) == ({}, False, "", "z1")


def test_a_sidecar_is_a_container_or_a_native_one(world: World) -> None:
    world.apply(
        [
            service(),
            pod("p1", containers=[{"name": "main"}, {"name": "istio-proxy", "args": ["proxy", "sidecar"]}]),
            pod("p2"),
            slices([endpoint("10.0.0.1", "p1"), endpoint("10.0.0.2", "p2")]),
        ]
    )
    assert [e.has_sidecar for e in world.endpoints("shop", "web", 80)] == [True, False]


@pytest.mark.spec("D-9")
def test_the_stable_region_label_wins(world: World) -> None:
    world.apply([node("n1", region="eu-1", old_region="old", zone="a", sub_zone="r7"), node("n2", old_region="old")])
    world.apply([pod("p1", node="n1"), pod("p2", node="n2")])
    assert world.locality_of_proxy("shop", "p1") == Locality("eu-1", "a", "r7")
    assert world.locality_of_proxy("shop", "p2") == Locality("old")


@pytest.mark.spec("D-10")
def test_a_zone_without_a_region_is_no_locality(world: World) -> None:
    world.apply([node("n1", zone="a"), service(), slices([endpoint("10.0.0.1", nodeName="n1", zone="a")])])
    (only,) = world.endpoints("shop", "web", 80)
    assert only[2:5] == ("", "", "")


def test_a_node_that_moves_takes_the_endpoints_on_it_along(world: World) -> None:
    world.apply([service(), service("other"), pod("p1", node="n1"), slices([endpoint("10.0.0.1", "p1")])])
    derived = world.apply([node("n1", region="eu", zone="a")])
    assert derived.nodes_changed == {"n1"}
    assert derived.services_changed == {("shop", "web")}
    assert world.endpoints("shop", "web", 80)[0].region == "eu"
    assert world.locality_of_proxy("shop", "p1") == Locality("eu", "a")
    assert world.locality_of_proxy("shop", "nobody") is None
    again = world.apply([node("n1", region="eu", zone="a")])
    assert not again.nodes_changed
    assert not again.services_changed


@pytest.mark.spec("D-57")
def test_a_proxy_without_a_known_pod_is_where_all_pods_of_its_gateway_are(world: World) -> None:
    gateway = {"gateway.gloo.solo.io/type": "envoy", "app": "web"}
    world.apply([node("n1", region="eu", zone="a"), node("n2", region="eu", zone="b"), service()])
    world.apply([pod("g1", node="n1", labels=gateway)])
    assert world.locality_of_gateway("shop", "web") == Locality("eu", "a")
    world.apply([pod("g2", node="n2", labels=gateway)])
    assert world.locality_of_gateway("shop", "web") == Locality("eu")
    world.apply([node("n2", region="us")])
    assert world.locality_of_gateway("shop", "web") == Locality()


def test_a_listing_removes_what_it_does_not_hold(world: World) -> None:
    world.apply([service(), slices([endpoint("10.0.0.1")])], listed=True)
    derived = world.apply([service()], listed=True)
    assert derived.services_changed == {("shop", "web")}
    assert _addresses(world) == []
    derived = world.apply([], listed=True)
    assert [(c.key.name, c.body) for c in derived.facts] == [("web", None)]
    assert world.facts == {}
