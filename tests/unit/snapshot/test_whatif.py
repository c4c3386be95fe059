"""`whatif`: against a fleet whose lost cluster really has no endpoint any more, and case by case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctl.offline.fleet import translate_folder
from fingerpost.objects import ObjectKey, canonical
from mgmt.explain.destination import explain_destination
from mgmt.snapshot.doors import doors, host_routes
from mgmt.snapshot.outcome import Outcome
from mgmt.snapshot.requests import target_text
from mgmt.snapshot.whatif import Effect, UnknownCluster, WhatIf, whatif
from mgmt.translate import ir
from mgmt.translate.graph.inputs import OUTLIER_DETECTION, SERVICE_FACTS
from mgmt.translate.graph.ownership import Place

ROOT = Path(__file__).parents[3]
PLACE = Place(cluster="mgmt", admin_namespace="gloo-mesh")


@pytest.fixture(scope="module")
def objects() -> dict[ObjectKey, bytes]:
    return translate_folder(ROOT / "examples", PLACE).outcome.objects


def asked(objects: dict[ObjectKey, bytes], without: str) -> WhatIf:
    return whatif(Outcome(PLACE, objects).translator, without)


def effects(found: WhatIf, effect: Effect) -> set[tuple[str, tuple[str, ...]]]:
    return {(r.route, r.gateways) for r in found.routes if r.effect is effect}


def emptied(objects: dict[ObjectKey, bytes], cluster: str) -> dict[ObjectKey, bytes]:
    """The cluster's agent has told that no endpoint of it is ready."""
    out = dict(objects)
    for key, body in objects.items():
        if key.type == SERVICE_FACTS and key.cluster == cluster:
            obj = json.loads(body)
            obj["spec"]["readyPorts"] = []
            obj["spec"].pop("labels", None)
            out[key] = canonical(obj)
    return out


@pytest.mark.parametrize("without", ["mgmt", "east", "west"])
def test_where_requests_go_is_what_explain_says_once_the_endpoints_are_gone(
    objects: dict[ObjectKey, bytes], without: str
) -> None:
    found = asked(objects, without)
    later = Outcome(PLACE, emptied(objects, without)).translator
    told = {(r.host, r.route, r.destination, g): {*r.now, *r.spare} for r in found.routes for g in r.gateways}
    compared = 0
    for door, serving in doors(later):
        if door.gateway.cluster == without:
            continue
        for host in serving.hosts():
            for candidate in host_routes(later, serving, host).tried:
                action = candidate.route.action
                for weighted in action.destinations if isinstance(action, ir.Forward) else ():
                    answer = explain_destination(later, door.gateway.cluster, weighted)
                    ready = {e.cluster for e in answer.endpoints if e.ready and (e.local or e.addresses)}
                    text = target_text(ir.Forward(destinations=(weighted,)))
                    now = told.get((host, candidate.route.name, text, door.gateway.cluster))
                    if now is not None:
                        assert {where.partition(" ")[0] for where in now} == ready
                        compared += 1
                    else:
                        assert without not in {e.cluster for e in answer.endpoints if e.ready is not None} or not ready
    assert compared > 5 or without == "mgmt"


def test_the_examples_without_east(objects: dict[ObjectKey, bytes]) -> None:
    found = asked(objects, "east")
    assert found.gateways_lost == ("east/gw/ingress",)
    assert found.hosts_lost == ("backoffice.shop.example",)
    assert not found.harmless
    assert ("cart-www.shop.mgmt", ("mgmt",)) in effects(found, Effect.FEWER)
    assert ("cart-www.shop.mgmt", ("west",)) in effects(found, Effect.SPARE_LOST)
    assert not effects(found, Effect.LOST)


def test_the_examples_without_west(objects: dict[ObjectKey, bytes]) -> None:
    found = asked(objects, "west")
    assert effects(found, Effect.LOST) == {("reviews-www.shop.mgmt", ("east", "mgmt"))}
    [lost] = [r for r in found.routes if r.effect is Effect.LOST]
    assert (lost.request, lost.now) == ("ANY www.shop.example/reviews*", ())
    assert found.hosts_lost == ()


def test_the_nearest_fails_over_only_where_locality_counts(objects: dict[ObjectKey, bytes]) -> None:
    away = {k: b for k, b in emptied(objects, "west").items()}
    west = {k: b for k, b in away.items() if k.type != OUTLIER_DETECTION}
    near, alike = asked(away, "east"), asked(west, "east")
    assert ("cart-www.shop.mgmt", ("mgmt", "west")) in effects(near, Effect.LOST)
    assert {r.was for r in alike.routes if r.route == "cart-www.shop.mgmt"} == {("east",)}
    full = {k: b for k, b in objects.items() if k.type != OUTLIER_DETECTION}
    shared = asked(full, "east")
    assert {(r.effect, r.was, r.now) for r in shared.routes if r.route == "cart-www.shop.mgmt"} == {
        (Effect.FEWER, ("east", "west"), ("west",))
    }


def test_a_cluster_that_answered_alone_nearby_fails_over(objects: dict[ObjectKey, bytes]) -> None:
    """With the gateways of `mgmt` in east's region, east is nearer to them than west."""
    moved = dict(objects)
    for key, body in objects.items():
        if key.type.endswith("/DiscoveredGateway") and key.cluster == "mgmt":
            obj = json.loads(body)
            obj["spec"]["externalAddresses"][0]["region"] = "us-east"
            moved[key] = canonical(obj)
    found = asked(moved, "east")
    [cart] = [r for r in found.routes if r.route == "cart-www.shop.mgmt" and r.gateways == ("mgmt",)]
    assert (cart.effect, cart.was, cart.now) == (Effect.FAILS_OVER, ("east (same region)",), ("west (other regions)",))


def test_an_unknown_cluster_is_named(objects: dict[ObjectKey, bytes]) -> None:
    with pytest.raises(UnknownCluster, match="there are: east, mgmt, west"):
        asked(objects, "north")
