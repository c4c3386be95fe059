"""What leaves a cluster, and when: gateways, ServiceFacts, SecretFacts, users' objects, and nothing else."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from agent.discovery.secret_key import load_secret_key
from agent.discovery.world import World
from tests.unit.discovery.cluster_objects import change, endpoint, facts, gone, node, pod, service, slices

GATEWAY_LABELS = {"gateway.gloo.solo.io/type": "envoy"}


@pytest.fixture
def world() -> World:
    return World("c1", b"k" * 32)


def _gateway(world: World, *others: Any, **spec: Any) -> Any:
    return facts(world.apply([*others, service("gw", **spec)]), "DiscoveredGateway")["gw"]


def _gateway_pod(name: str, **rest: Any) -> Any:
    return pod(name, app="gw", account="gw", labels=GATEWAY_LABELS, **rest)


@pytest.mark.spec("D-11")
def test_a_load_balancer_is_reported_by_ip(world: World) -> None:
    ingress = [{"ip": "203.0.113.1", "hostname": "lb.example.com"}, {"hostname": "other.example.com"}]
    found = _gateway(
        world,
        node("n1", region="eu", zone="a"),
        _gateway_pod("p1", node="n1"),
        type="LoadBalancer",
        status={"loadBalancer": {"ingress": ingress}},
    )
    assert found["spec"]["serviceType"] == "LOAD_BALANCER"
    assert found["spec"]["externalAddresses"] == [
        {"address": "203.0.113.1", "ports": {"80": 80}, "region": "eu"},
        {"address": "other.example.com", "ports": {"80": 80}, "region": "eu"},
    ]


@pytest.mark.spec("D-12")
def test_a_node_port_gateway_is_reported_by_the_nodes_of_its_ready_pods(world: World) -> None:
    found = _gateway(
        world,
        node("n1", addresses={"InternalIP": "10.0.0.1", "ExternalIP": "1.2.3.4"}, region="eu"),
        node("n2", addresses={"InternalIP": "10.0.0.2"}, region="us"),
        node("n3", addresses={"InternalIP": "10.0.0.3"}),
        _gateway_pod("p1", node="n1"),
        _gateway_pod("p2", node="n2"),
        _gateway_pod("p3", node="n3", ready=False),
        type="NodePort",
        ports=[{"name": "http", "port": 80, "nodePort": 30080}, {"name": "tls", "port": 443, "nodePort": 30443}],
    )
    ports = {"80": 30080, "443": 30443}
    assert found["spec"]["externalAddresses"] == [
        {"address": "1.2.3.4", "ports": ports},
        {"address": "10.0.0.2", "ports": ports},
    ]


@pytest.mark.spec("D-13")
def test_a_cluster_ip_gateway_has_no_external_address(world: World) -> None:
    found = _gateway(world, _gateway_pod("p1"), ports=[{"name": "http", "port": 80, "targetPort": "web"}])
    assert "externalAddresses" not in found["spec"]
    assert found["spec"]["ports"] == [{"name": "http", "number": 80}]
    assert found["spec"]["serviceAccounts"] == ["gw"]


def test_what_makes_a_gateway(world: World) -> None:
    router = [{"name": "istio-proxy", "args": ["proxy", "router"]}]
    sidecar = [{"name": "istio-proxy", "args": ["proxy", "sidecar"]}]
    derived = world.apply([service("gw"), service("web"), pod("w", containers=sidecar)])
    assert facts(derived, "DiscoveredGateway") == {}
    it = pod("g", app="gw", containers=router)
    assert facts(world.apply([it]), "DiscoveredGateway")["gw"]["spec"]["gatewayKind"] == "istio"
    assert facts(world.apply([gone(it)]), "DiscoveredGateway") == {"gw": None}


@pytest.mark.spec("D-14")
def test_scaling_among_ready_says_nothing_and_losing_the_last_does(world: World) -> None:
    def scaled(count: int) -> list[Any]:
        names = [f"p{i}" for i in range(count)]
        return [*(pod(n) for n in names), slices([endpoint(f"10.0.0.{i}", n) for i, n in enumerate(names)])]

    world.apply([service(), *scaled(3)])
    first = facts(world.set_interest([], [], ["shop/web"]), "ServiceFacts")["web"]["spec"]
    assert first == {"readyPorts": [80], "serviceAccounts": ["web"], "podsWithoutSidecar": True}
    derived = world.apply(scaled(5))
    assert derived.facts == ()
    assert len(world.endpoints("shop", "web", 80)) == 5
    assert world.apply(scaled(1)).facts == ()
    assert "readyPorts" not in facts(world.apply(scaled(0)), "ServiceFacts")["web"].get("spec", {})


def test_subset_labels_are_told_once_per_combination_and_only_when_asked_for(world: World) -> None:
    pods = [pod(f"p{i}", labels={"version": v, "hash": str(i)}) for i, v in enumerate(("v1", "v1", "v2"))]
    world.apply([service(), *pods, slices([endpoint(f"10.0.0.{i}", f"p{i}") for i in range(3)])])
    found = facts(world.set_interest([], ["version"], ["shop/web"]), "ServiceFacts")["web"]["spec"]
    assert found["labels"] == [{"version": "v1"}, {"version": "v2"}]
    assert facts(world.set_interest([], ["version"], []), "ServiceFacts") == {"web": None}


@pytest.mark.spec("M-6")
def test_a_secret_goes_up_as_keys_and_a_keyed_hash_and_only_when_named(world: World) -> None:
    canary = "canary-4711"
    encoded = base64.b64encode(canary.encode()).decode()
    annotated = {"annotations": {"note": canary}}
    one = change("Secret", "tls", metadata=annotated, type="kubernetes.io/tls", data={"tls.key": encoded})
    derived = world.apply([one])
    assert derived.facts == ()
    assert derived.secrets_changed == {("shop", "tls")}
    assert world.get("shop", "tls") == {"tls.key": canary.encode()}
    derived = world.set_interest(["shop/tls"], [], [])
    (told,) = derived.facts
    assert told.body is not None
    assert canary.encode() not in told.body
    assert encoded.encode() not in told.body
    spec = facts(derived, "SecretFacts")["tls"]["spec"]
    assert spec["keys"] == ["tls.key"]
    assert world.apply([one]).facts == ()
    other = change("Secret", "tls", type="kubernetes.io/tls", data={"tls.key": base64.b64encode(b"new").decode()})
    assert facts(world.apply([other]), "SecretFacts")["tls"]["spec"]["hmac"] != spec["hmac"]
    elsewhere = World("c1", b"j" * 32)
    elsewhere.apply([one])
    assert facts(elsewhere.set_interest(["shop/tls"], [], []), "SecretFacts")["tls"]["spec"]["hmac"] != spec["hmac"]
    assert facts(world.apply([gone(other)]), "SecretFacts") == {"tls": None}


def test_the_key_of_the_hashes_stays_the_same_and_private(tmp_path: Any) -> None:
    state = tmp_path / "state"
    key = load_secret_key(state)
    assert len(key) == 32
    assert load_secret_key(state) == key
    (file,) = state.iterdir()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.spec("M-8")
def test_a_service_goes_up_trimmed_and_only_when_that_changes(world: World) -> None:
    one = service(annotations={"note": "x", "networking.istio.io/exportTo": "*"}, sessionAffinity="None")
    found = facts(world.apply([one]), "Service")["web"]
    assert found["metadata"]["annotations"] == {"networking.istio.io/exportTo": "*"}
    assert found["spec"].keys() == {"selector", "ports"}
    two = service(annotations={"note": "y", "networking.istio.io/exportTo": "*"}, sessionAffinity="ClientIP")
    assert world.apply([two]).facts == ()


def test_what_goes_up_and_what_stays(world: World) -> None:
    users = change("RouteTable", "www", api="networking.gloo.solo.io/v2", spec={"hosts": ["a"]})
    odd = change("Thing", "odd", api="later.gloo.solo.io/v3")
    space = change("Namespace", "shop", namespace="")
    foreign = change("ConfigMap", "cm")
    listed = world.apply([users, odd, space, foreign, pod("p"), node("n"), slices([]), service()])
    assert {c.key.name for c in listed.facts} == {"www", "odd", "shop", "web"}
    assert world.facts[users.key] == users.body
    assert world.apply([gone(users)]).facts == (gone(users),)


def test_a_service_hidden_by_its_owner_is_not_told(world: World) -> None:
    world.apply([service()])
    world.set_interest([], [], ["shop/web"])
    derived = world.apply([service(annotations={"networking.istio.io/exportTo": "~"})])
    assert {(c.key.kind, c.body) for c in derived.facts} == {("Service", None), ("ServiceFacts", None)}


def test_wrong_types_and_internal_kinds_are_problems_that_say_what_to_do(world: World) -> None:
    world.apply([service(), slices([endpoint("10.0.0.1")])])
    derived = world.apply([service(ports=[{"name": "http", "port": "eighty"}])])
    assert derived.facts == ()
    (problem,) = world.problems.values()
    assert problem.path == "spec.ports[0].port"
    assert "Service shop/web in cluster c1" in problem.message
    assert "`int`" in problem.message
    assert world.endpoints("shop", "web", 80)
    forged = change("DiscoveredGateway", "gw", api="internal.gloo.solo.io/v2")
    assert world.apply([service(), forged]).facts == ()
    (problem,) = world.problems.values()
    assert problem.code == "InternalKind"
