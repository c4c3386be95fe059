"""An edit costs what it touches: among a thousand tables the others are not even looked at."""

from __future__ import annotations

import pytest
from fleet_of_shops import east_west, facts, service, shops, table, virtual_destination

from fingerpost.relay.pieces import join
from mgmt.translate.translator import Translator, translate
from mgmt.translate.turn import Turn
from tests.plain_world import PLACE


def _changed(turn: Turn) -> set[tuple[str, str]]:
    return {key for changes in turn.classes.values() for key in changes}


def test_like_gateways_share_one_class() -> None:
    _, turn = translate(PLACE, shops(2))
    assert len(set(turn.gateways.values())) == 1 < len(turn.gateways)


def test_an_edited_table_of_a_thousand_takes_few_steps() -> None:
    translator, _ = translate(PLACE, shops(1000, destinations=20))
    translator.feed([table(500, answer=204, destination=0)])
    turn = translator.turn()
    assert turn.steps < 20
    assert _changed(turn) == {("routes", "http.8080")}
    (changes,) = turn.classes.values()
    edited = changes["routes", "http.8080"]
    assert edited is not None
    (step,) = edited.lineage
    assert sum(len(s.insert) + s.remove for s in step.splices) < 10


def test_a_table_added_or_deleted_takes_few_steps() -> None:
    translator, _ = translate(PLACE, shops(1000))
    translator.feed([table(1001)])
    assert translator.turn().steps < 20
    translator.feed([(table(1001)[0], None)])
    assert translator.turn().steps < 20


@pytest.mark.spec("W-49")
def test_an_unrelated_object_changes_nothing() -> None:
    translator, _ = translate(PLACE, shops(50, destinations=5))
    translator.feed([service("east", 77), facts("east", 77, [8000])])
    turn = translator.turn()
    assert (turn.classes, turn.gateways, turn.statuses, turn.interests) == ({}, {}, {}, {})


def test_an_object_fed_again_as_it_was_runs_nothing() -> None:
    objects = shops(10, destinations=2)
    translator, _ = translate(PLACE, objects)
    translator.feed(objects.items())
    assert translator.turn().steps == 0


def test_facts_of_one_service_touch_its_destination_alone() -> None:
    objects = shops(50, destinations=5) | east_west()
    translator, _ = translate(PLACE, objects)
    translator.feed([facts("east", 3, [])])
    turn = translator.turn()
    at_home = "outbound|8000||app3.shop.svc.cluster.local"  # what the east-west gateway no longer lets in
    expected = {("endpoints", "outbound|80||app3.mesh"), ("listener", "eastwest_15443")}
    assert _changed(turn) == expected | {("cluster", at_home), ("endpoints", at_home)}
    assert turn.steps < 20


def _cluster_names(translator: Translator, turn: Turn) -> set[str]:
    return {name for kind, name in _changed(turn) if kind == "cluster"}


def test_a_destination_comes_with_its_first_route_and_goes_with_its_last() -> None:
    objects = shops(2) | dict((virtual_destination(0), service("east", 0), facts("east", 0, [8000])))
    translator, first = translate(PLACE, objects)
    assert _cluster_names(translator, first) == set()
    translator.feed([table(0, destination=0), table(1, destination=0)])
    (changes,) = translator.turn().classes.values()
    assert changes["cluster", "outbound|80||app0.mesh"]
    translator.feed([table(0)])
    assert _changed(translator.turn()) == {("routes", "http.8080")}
    translator.feed([table(1)])
    (changes,) = translator.turn().classes.values()
    assert changes["cluster", "outbound|80||app0.mesh"] is None
    assert changes["endpoints", "outbound|80||app0.mesh"] is None


def test_spliced_lists_hold_what_a_new_list_holds() -> None:
    """A thousand hosts, one edited, one gone: the list in place is spliced, and reads as one made anew."""
    objects = shops(300)
    translator, first = translate(PLACE, objects)
    (gateway_class,) = first.classes
    for number, body in ((7, table(7, answer=500)[1]), (8, None), (9, None)):
        key = table(number)[0]
        translator.feed([(key, body)])
        turn = translator.turn()
        objects = {**objects, key: body} if body else {k: v for k, v in objects.items() if k != key}
    spliced = turn.classes[gateway_class]["routes", "http.8080"]
    _, anew = translate(PLACE, objects)
    made = anew.classes[gateway_class]["routes", "http.8080"]
    assert spliced is not None
    assert made is not None
    assert (spliced.digest, join(spliced)) == (made.digest, join(made))
    assert len(spliced.lineage) == 3
