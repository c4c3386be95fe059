"""What a set of objects leads to: the resources of every gateway, as the server relays them, and every status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fingerpost.objects import ObjectKey
from fingerpost.relay.pieces import PieceList
from mgmt.translate.graph.ownership import Place
from mgmt.translate.scopes import GatewayKey, ResourceKey, ScopeClass
from mgmt.translate.status_scopes import status_scopes
from mgmt.translate.translator import Translator
from mgmt.translate.turn import Turn

CLUSTER = ""  # the scope of the cluster itself: statuses of the objects that live there
Resources = Mapping[ResourceKey, PieceList]
Scopes = Mapping[GatewayKey, Resources]


class Outcome:
    """Changes are carried through incrementally, so an edit of a large set costs what it changes."""

    def __init__(self, place: Place, objects: Mapping[ObjectKey, bytes]) -> None:
        self.place = place
        self.translator = Translator(place)
        self.objects: dict[ObjectKey, bytes] = {}
        self._classes: dict[ScopeClass, dict[ResourceKey, PieceList]] = {}
        self._gateways: dict[GatewayKey, ScopeClass] = {}
        self._statuses: dict[str, dict[ResourceKey, PieceList]] = {}
        self.change(objects.items())

    def change(self, changes: Iterable[tuple[ObjectKey, bytes | None]]) -> Turn:
        """None removes an object."""
        given = list(changes)
        for key, body in given:
            if body is None:
                self.objects.pop(key, None)
            else:
                self.objects[key] = body
        self.translator.feed(given)
        turn = self.translator.turn()
        for scope_class, resources in turn.classes.items():
            _put(self._classes.setdefault(scope_class, {}), resources)
        for gateway, gateway_class in turn.gateways.items():
            if gateway_class is None:
                self._gateways.pop(gateway, None)
            else:
                self._gateways[gateway] = gateway_class
        for gone in self._classes.keys() - set(self._gateways.values()):
            del self._classes[gone]
        for cluster, statuses in status_scopes(self.place.cluster, turn.statuses).items():
            _put(self._statuses.setdefault(cluster, {}), statuses)
        return turn

    def scopes(self) -> Scopes:
        """By (cluster, scope), sorted; like gateways share one mapping. It stays as it is when changes follow."""
        shared = {scope_class: dict(resources) for scope_class, resources in self._classes.items()}
        found: dict[GatewayKey, Resources] = {g: shared.get(c, {}) for g, c in self._gateways.items()}
        found |= {(cluster, CLUSTER): dict(statuses) for cluster, statuses in self._statuses.items() if statuses}
        return dict(sorted(found.items()))


def _put(resources: dict[ResourceKey, PieceList], changes: Mapping[ResourceKey, PieceList | None]) -> None:
    for key, pieces in changes.items():
        if pieces is None:
            resources.pop(key, None)
        else:
            resources[key] = pieces
