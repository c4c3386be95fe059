"""Whatever the order of changes, the world is what a fresh look at the same objects gives."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.discovery.world import World
from fingerpost.cluster.protocol import Change
from fingerpost.objects import ObjectKey
from tests.unit.discovery.cluster_objects import change, endpoint, gone, node, pod, service, slices

ENVOY = {"gateway.gloo.solo.io/type": "envoy"}
NAMES = ("web", "gw")
PODS = ("p1", "p2")
NODES = ("n1", "n2")


def _slice(of: str, name: str, ready: bool, target: str, on: str) -> Change:
    one = endpoint("10.0.0.1", target, conditions={"ready": ready}, **({"nodeName": on} if on else {}))
    return slices([one], of=of, name=name)


def _secret(value: str) -> Change:
    return change("Secret", "tls", data={"k": value})


OBJECTS = st.one_of(
    st.builds(service, st.sampled_from(NAMES), type=st.sampled_from(["ClusterIP", "NodePort"])),
    st.builds(service, st.just("web"), annotations=st.just({"networking.istio.io/exportTo": "~"})),
    st.builds(service, st.just("web"), selector=st.just({"app": "gw"})),
    st.builds(
        pod,
        st.sampled_from(PODS),
        app=st.sampled_from(NAMES),
        node=st.sampled_from(["", *NODES]),
        ready=st.booleans(),
        labels=st.sampled_from([ENVOY, {"version": "v1"}, {"version": "v2"}]),
    ),
    st.builds(
        _slice,
        st.sampled_from(NAMES),
        st.sampled_from(["s1", "s2"]),
        st.booleans(),
        st.sampled_from(["", *PODS]),
        st.sampled_from(["", *NODES]),
    ),
    st.builds(node, st.sampled_from(NODES), region=st.sampled_from(["eu", "us"])),
    st.builds(_secret, st.sampled_from(["YQ==", "Yg=="])),
)
STEPS = st.lists(st.tuples(OBJECTS, st.booleans()), max_size=30)


def _fresh(objects: dict[ObjectKey, Change]) -> World:
    world = World("c1", b"k" * 32)
    world.set_interest(["shop/tls"], ["version"], ["shop/web", "shop/gw"])
    world.apply(objects.values(), listed=True)
    return world


def _ports(world: World) -> dict[str, Any]:
    return {name: dict(world.ports("shop", name)) for name in NAMES}


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_increments_equal_a_fresh_look(steps: list[tuple[Change, bool]]) -> None:
    objects: dict[ObjectKey, Change] = {}
    world = _fresh(objects)
    told: dict[ObjectKey, bytes] = {}
    for one, delete in steps:
        objects.pop(one.key, None)
        if not delete:
            objects[one.key] = one
        before = _ports(world)
        derived = world.apply([gone(one) if delete else one])
        after = _ports(world)
        assert {n for _, n in derived.services_changed} == {n for n in NAMES if before[n] != after[n]}
        for key, body in derived.facts:
            assert told.get(key) != body
            told.pop(key, None)
            if body is not None:
                told[key] = body
    fresh = _fresh(objects)
    assert world.facts == fresh.facts == told
    assert _ports(world) == _ports(fresh)
