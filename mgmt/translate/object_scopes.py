"""From changed Istio objects to changed scopes: per cluster which objects, and which contributions they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from fingerpost.objects import ObjectKey
from fingerpost.relay.objects import OBJECT, name_of
from fingerpost.relay.pieces import PieceList, Role, piece
from mgmt.translate.emit.istio.objects import IstioObject
from mgmt.translate.scopes import ObjectClass, ResourceKey

Resources = dict[ResourceKey, PieceList | None]
Delta = tuple[frozenset[str], frozenset[str]]  # contributions that went, that came
Changed = Mapping[ObjectKey, tuple[IstioObject | None, IstioObject | None]]


class ObjectScopes:
    """Counts the objects of each contribution, so that a turn costs what it changes."""

    def __init__(self) -> None:
        self._counts: dict[ObjectClass, Counter[str]] = {}

    def turn(self, changed: Changed) -> tuple[dict[ObjectClass, Resources], dict[ObjectClass, Delta]]:
        """(resources, contributions that went and that came) by cluster."""
        resources: dict[ObjectClass, Resources] = {}
        steps: dict[ObjectClass, Counter[str]] = {}
        for key, (old, new) in changed.items():
            at = ObjectClass(cluster=key.cluster)
            body = pieces_of(new) if new is not None else None
            resources.setdefault(at, {})[OBJECT, name_of(key)] = body
            for obj, step in ((old, -1), (new, 1)):
                if obj is not None:
                    steps.setdefault(at, Counter())[obj.contribution] += step
        return resources, {at: self._count(at, some) for at, some in steps.items()}

    def _count(self, at: ObjectClass, steps: Counter[str]) -> Delta:
        counts = self._counts.setdefault(at, Counter())
        gone, come = set(), set()
        for name, step in steps.items():
            before = counts[name]
            counts[name] += step
            if not counts[name]:
                del counts[name]
                gone.add(name)
            elif not before:
                come.add(name)
        return frozenset(gone), frozenset(come)


def resource_key(obj: IstioObject) -> ResourceKey:
    return OBJECT, name_of(obj.key)


def pieces_of(obj: IstioObject) -> PieceList:
    return PieceList([piece(Role.TOP, obj.contribution, obj.body)])
