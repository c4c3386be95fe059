"""The publisher over random edits: a scope offers what a rebuild gives, and its log leads there without a gap."""

from __future__ import annotations

from random import Random

import pytest
from random_fleet import PLACE, edited, edits, fleet
from replay import offered, rebuilt

from mgmt.publish.publisher import Publisher
from mgmt.translate.translator import Translator


@pytest.mark.spec("M-53")
@pytest.mark.parametrize("seed", range(500, 504))
def test_scopes_offer_what_a_rebuild_gives(seed: int) -> None:
    random = Random(seed)
    objects = fleet(random)
    translator = Translator(PLACE)
    publisher = Publisher(relist=lambda _: None, now=lambda: 1)
    translator.feed(objects.items())
    publisher.publish(translator.turn(), 1)
    for version in range(2, 60):
        changes = edits(random)
        edited(objects, changes)
        translator.feed(changes)
        publisher.publish(translator.turn(), version)
        expected = rebuilt(PLACE, objects)
        told = {}
        for cluster in {key.cluster for key in objects}:
            told |= offered(publisher, cluster)
            assert not [s for s in publisher.scopes(cluster).values() if s.gone and s.resources]
        assert told == {g: {k: v[2] for k, v in held.items()} for g, held in expected.gateways.items()}
