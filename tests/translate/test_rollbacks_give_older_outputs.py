"""Whatever is edited and rolled back: each gateway is offered just what a rebuild gives of the older objects within the
scope, the objects of now elsewhere, and the facts of now.
"""

from __future__ import annotations

from random import Random

import pytest
from random_fleet import CLUSTERS, NAMESPACES, PLACE, edited, edits, fleet
from replay import View, offered, rebuilt

from fingerpost.objects import ObjectKey
from fingerpost.relay.objects import ISTIO_SCOPE
from mgmt.ingest.kinds import pin_key
from mgmt.pins.outputs import Outputs
from mgmt.pins.rollback import RECORDED, Overlay, Reach, Rollback, Scope, decode, encode, pin_name
from mgmt.publish.publisher import Publisher
from mgmt.translate.translator import Translator
from tests.istio_world import with_istio_gateways

Objects = dict[ObjectKey, bytes]
_NO_SPACES = frozenset[str]()


def _rollback(random: Random, version: int, snapshots: list[Objects]) -> Rollback:
    number = random.randrange(len(snapshots))
    reach = random.choice(tuple(Reach))
    spaces = frozenset(f"{c}/{n}" for c in CLUSTERS for n in random.sample(NAMESPACES, 1))
    name = {Reach.ALL: "", Reach.WORKSPACE: "one", Reach.CLUSTER: random.choice(CLUSTERS)}[reach]
    made = Rollback(
        id=str(version),
        snapshot=number,
        scope=Scope(reach, name),
        at_unix_nanos=version,
        clusters=frozenset(random.sample(CLUSTERS, random.randint(1, len(CLUSTERS)))),
        spaces=spaces if reach is Reach.WORKSPACE else _NO_SPACES,
    )
    then = {k: v for k, v in snapshots[number].items() if made.covers(k)}
    return Rollback(**{f: getattr(made, f) for f in made.__struct_fields__} | {"objects": then})


class _Expected:
    """Rebuilds are shared by the clusters that are rolled back alike."""

    def __init__(self, objects: Objects, active: dict[str, Rollback]) -> None:
        self._objects, self._active = objects, active
        self._views: dict[tuple[str, ...], View] = {}

    def of(self, cluster: str) -> View:
        stack = tuple(sorted((i for i, r in self._active.items() if r.concerns(cluster)), key=int, reverse=True))
        if stack not in self._views:
            over = Overlay([self._active[id_] for id_ in stack])
            self._views[stack] = rebuilt(PLACE, over.all(self._objects))
        return self._views[stack]


@pytest.mark.parametrize("plane", ["mixed", "istio"])
@pytest.mark.parametrize("seed", range(900, 904))
def test_gateways_get_what_a_rebuild_of_the_older_objects_gives(seed: int, plane: str) -> None:
    random = Random(seed)
    at_plane = with_istio_gateways if plane == "istio" else list
    objects = dict(at_plane(fleet(random).items()))
    outputs = Outputs(Translator(PLACE), lambda: Translator(PLACE))
    publisher = Publisher(relist=lambda _: None, now=lambda: 1)
    publisher.publish(outputs.turn(list(objects.items())), 1)
    snapshots: list[Objects] = [{k: v for k, v in objects.items() if k.type in RECORDED}]
    active: dict[str, Rollback] = {}
    rolled_back = istio = 0
    for version in range(2, 45):
        changes, known = at_plane(edits(random)), set(active)
        edited(objects, changes)
        snapshots.append({k: v for k, v in objects.items() if k.type in RECORDED})
        if random.random() < 0.2:
            made = _rollback(random, version, snapshots)
            assert decode(encode(made)) == made
            active[made.id] = made
            changes = [*changes, (pin_key(pin_name(made.id)), encode(made))]
        ended = ""
        if active and random.random() < 0.2:
            ended = random.choice(sorted(active))
            del active[ended]
            changes = [*changes, (pin_key(pin_name(ended)), None)]
        publisher.publish(outputs.turn(changes), version)
        assert [(one.id, len(one.objects)) for one in outputs.ended] == ([(ended, 0)] if ended in known else [])
        rolled_back += bool(active)
        expected = _Expected(objects, active)
        for cluster in {key.cluster for key in objects}:
            wanted = {g: held for g, held in expected.of(cluster).gateways.items() if g[0] == cluster}
            told = offered(publisher, cluster)
            for gateway, resources in told.items():
                istio += bool(active and gateway[1] == ISTIO_SCOPE and resources)
                counted = publisher.contributions(gateway)
                assert counted == expected.of(cluster).contributions[gateway], (gateway, version)
            assert told == {g: {k: v[2] for k, v in held.items()} for g, held in wanted.items()}, (cluster, version)
    assert rolled_back > 5, "the seed is no test"
    assert istio or plane != "istio", "the fleet has Istio gateways"
