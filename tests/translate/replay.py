"""What a reader of the translator's turns ends up with: the resources of every gateway, all statuses, all interests."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from fingerpost.objects import ObjectKey
from fingerpost.relay.objects import CLUSTER_SCOPE
from fingerpost.relay.pieces import PieceList, join
from mgmt.publish.publisher import Publisher
from mgmt.publish.scope import ResourceSet
from mgmt.translate.graph.ownership import Place
from mgmt.translate.scopes import GatewayClass, GatewayKey, ResourceKey
from mgmt.translate.status import Status
from mgmt.translate.translator import Translator, translate
from mgmt.translate.turn import Turn


def offered(publisher: Publisher, cluster: str) -> dict[GatewayKey, dict[ResourceKey, bytes]]:
    """What the relay would tell the agent of a cluster about its gateways, from scopes whose logs lead without a gap to
    what they hold.
    """
    found = {}
    for name, scope in publisher.scopes(cluster).items():
        joins = [(a.after, a.version) == (b.base, b.previous) for a, b in pairwise(scope.log)]
        assert all(joins), (cluster, name, publisher.config_version)
        assert not scope.log or scope.log[-1].after == scope.digest.total
        if name != CLUSTER_SCOPE and not scope.gone:
            found[cluster, name] = {k: join(v) for k, v in scope.resources.items()}
    return found


class View(NamedTuple):
    """Comparable by value; resources as (digest, contributions, bytes)."""

    gateways: Mapping[GatewayKey, Mapping[ResourceKey, Any]]
    digests: Mapping[GatewayKey, bytes]
    contributions: Mapping[GatewayKey, frozenset[str]]
    statuses: Mapping[ObjectKey, Status]
    interests: Mapping[str, Any]


class Replay:
    def __init__(self) -> None:
        self._sets: dict[GatewayClass, ResourceSet] = {}
        self._contributions: dict[GatewayClass, frozenset[str]] = {}
        self._gateways: dict[GatewayKey, GatewayClass] = {}
        self._statuses: dict[ObjectKey, Status] = {}
        self._interests: dict[str, Any] = {}

    def apply(self, turn: Turn) -> None:
        for gateway_class, changes in turn.classes.items():
            self._sets.setdefault(gateway_class, ResourceSet()).change(changes)
        for gateway_class, (gone, come) in turn.contributions.items():
            held = self._contributions.get(gateway_class, frozenset())
            assert gone <= held, f"left without having come: {gone - held}"
            self._contributions[gateway_class] = (held - gone) | come
        for gateway, now in turn.gateways.items():
            self._gateways.pop(gateway, None)
            if now is not None:
                self._gateways[gateway] = now
                self._sets.setdefault(now, ResourceSet())  # without resources nothing is told of it
        for key, status in turn.statuses.items():
            self._statuses.pop(key, None)
            if status is not None:
                self._statuses[key] = status
        self._interests |= turn.interests
        # Like the publisher: a class that no gateway is of any more is forgotten.
        used = set(self._gateways.values())
        self._sets = {c: s for c, s in self._sets.items() if c in used}
        self._contributions = {c: s for c, s in self._contributions.items() if c in used}

    def view(self) -> View:
        gateways = {g: {k: _plain(v) for k, v in self._sets[c].resources.items()} for g, c in self._gateways.items()}
        return View(
            gateways=gateways,
            digests={g: self._sets[c].digest.total for g, c in self._gateways.items()},
            contributions={g: self._contributions.get(c, frozenset()) for g, c in self._gateways.items()},
            statuses=self._statuses,
            interests={c: i for c, i in self._interests.items() if i.secrets or i.services or i.label_keys},
        )


def _plain(pieces: PieceList) -> Any:
    assert pieces.digest == PieceList(pieces).digest, "the digest is not that of the pieces"
    return pieces.digest, [p.contribution for p in pieces], join(pieces)


def rebuilt(place: Place, objects: Mapping[ObjectKey, bytes]) -> View:
    translator, turn = translate(place, objects)
    assert not translator.failures(), translator.failures()
    replay = Replay()
    replay.apply(turn)
    return replay.view()


class Followed:
    """A translator and the reader of its turns."""

    def __init__(self, place: Place) -> None:
        self.translator = Translator(place)
        self._replay = Replay()

    def feed(self, changes: Any) -> Turn:
        self.translator.feed(changes)
        turn = self.translator.turn()
        self._replay.apply(turn)
        assert not self.translator.failures(), self.translator.failures()
        return turn

    def view(self) -> View:
        return self._replay.view()
