"""What Istio gets after any edits is what a rebuild gives, and an edit costs what it touches."""

from __future__ import annotations

from random import Random

import pytest
from fleet_of_shops import shops, table
from random_fleet import PLACE, edited, edits, fleet

from fingerpost.objects import ObjectKey
from mgmt.translate.emit.istio.objects import IstioObject
from tests import plain_world
from tests.istio_world import IstioWorld

EDITS = 60


def _objects(world: IstioWorld) -> dict[ObjectKey, IstioObject]:
    return dict(world.graph.objects.items)


@pytest.mark.spec("M-53", "R-1", "D-89")
@pytest.mark.parametrize("seed", range(10))
def test_edits_give_what_a_rebuild_gives(seed: int) -> None:
    random = Random(seed)
    objects = fleet(random)
    world = IstioWorld(PLACE)
    world.feed(objects.items())
    emitted = 0
    for number in range(EDITS):
        changes = edits(random)
        edited(objects, changes)
        world.feed(changes)
        rebuilt = IstioWorld(PLACE)
        rebuilt.feed(random.sample(list(objects.items()), len(objects)))
        found, expected = _objects(world), _objects(rebuilt)
        differing = [key for key in {**found, **expected} if found.get(key) != expected.get(key)]
        assert not differing, f"seed {seed}, edit {number}: {differing[:3]}"
        assert world.graph.problems.items == rebuilt.graph.problems.items, f"seed {seed}, edit {number}"
        emitted += len(found)
    assert emitted, "the fleets have gateways"


def test_an_edited_table_of_a_thousand_changes_one_object_in_few_steps() -> None:
    world = IstioWorld(plain_world.PLACE)
    world.feed(shops(1000, destinations=20).items())
    world.feed([table(500, answer=204, destination=0)])
    assert world.steps < 30
    assert {key.kind for key in world.changed} == {"VirtualService"}
    places = {(key.cluster, key.namespace) for key in world.changed}
    assert len(world.changed) == len(places), "one per namespace with gateways"


def test_an_object_fed_again_as_it_was_runs_nothing() -> None:
    objects = shops(10, destinations=2)
    world = IstioWorld(plain_world.PLACE)
    world.feed(objects.items())
    world.feed(objects.items())
    assert (world.steps, world.changed) == (0, set())
