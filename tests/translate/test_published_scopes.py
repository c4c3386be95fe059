"""The publisher over random edits: a scope offers what a rebuild gives, and its log leads there without a gap."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from random_fleet import PLACE, edited, edits, fleet
from replay import rebuilt

from fingerpost.relay.objects import CLUSTER_SCOPE
from fingerpost.relay.pieces import join
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
        offered = {}
        for cluster in {key.cluster for key in objects}:
            for name, scope in publisher.scopes(cluster).items():
                joins = [(a.after, a.version) == (b.base, b.previous) for a, b in pairwise(scope.log)]
                assert all(joins), (cluster, name, version)
                assert not scope.log or scope.log[-1].after == scope.digest.total
                if name != CLUSTER_SCOPE and not scope.gone:
                    offered[cluster, name] = {k: join(v) for k, v in scope.resources.items()}
                assert not (scope.gone and scope.resources)
        assert offered == {g: {k: v[2] for k, v in held.items()} for g, held in expected.gateways.items()}
