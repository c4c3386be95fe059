"""All objects that Istio gets, by cluster: the second output of the same inputs. Made after routes and destinations,
from whose steps it reads.
"""

from __future__ import annotations

from typing import Any

from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.translate.emit.istio.objects import Emitted, IstioObject
from mgmt.translate.engine import Collection, Engine
from mgmt.translate.graph.destinations import DestinationGraph
from mgmt.translate.graph.gateways import GatewayGraph
from mgmt.translate.graph.inputs import Inputs
from mgmt.translate.graph.istio_destinations import IstioDestinationGraph
from mgmt.translate.graph.istio_doors import IstioDoorGraph
from mgmt.translate.graph.istio_routes import IstioRouteGraph, TableObjects
from mgmt.translate.graph.ownership import OwnershipGraph
from mgmt.translate.graph.policies import PolicyGraph
from mgmt.translate.graph.world import ViewGraph


class _One:
    """An object; of two sources that want one name the first in the order of their parents has it."""

    def __init__(self, key: ObjectKey) -> None:
        self._key = key
        self._found: dict[Any, IstioObject] = {}

    def change(self, key: Any, old: Emitted | TableObjects | None, new: Emitted | TableObjects | None) -> None:
        self._found.pop(key, None)
        for obj in _objects(new):
            if obj.key == self._key:
                self._found[key] = obj

    def result(self) -> IstioObject | None:
        return min(self._found.values(), key=lambda o: (o.parents, o.body)) if self._found else None


def _objects(found: Emitted | TableObjects | None) -> tuple[IstioObject, ...]:
    if isinstance(found, TableObjects):
        return found.emitted.objects
    return found.objects if found else ()


class _Problems:
    """What Istio cannot be told about one object, from every source."""

    def __init__(self, key: ObjectKey) -> None:
        self._key = key
        self._found: dict[Any, tuple[Problem, ...]] = {}

    def change(self, key: Any, old: Emitted | TableObjects | None, new: Emitted | TableObjects | None) -> None:
        self._found.pop(key, None)
        if new is not None:
            self._found[key] = tuple(p for p in _problems(new) if p.ref == self._key)

    def result(self) -> tuple[Problem, ...] | None:
        return tuple(sorted({p for found in self._found.values() for p in found})) or None


def _problems(found: Emitted | TableObjects) -> tuple[Problem, ...]:
    return found.emitted.problems if isinstance(found, TableObjects) else found.problems


class IstioGraph:
    """`objects` by their own key, whose delta is what a turn has changed; `problems` by the user's object."""

    def __init__(
        self,
        engine: Engine,
        inputs: Inputs,
        owners: OwnershipGraph,
        gateways: GatewayGraph,
        views: ViewGraph,
        routes: IstioRouteGraph,
        policies: PolicyGraph,
        destinations: DestinationGraph,
    ) -> None:
        self.routes = routes
        self.doors = IstioDoorGraph(engine, inputs, owners, gateways, views, destinations, self.routes)
        self.destinations = IstioDestinationGraph(
            engine, owners, views, policies, destinations, self.routes, self.doors
        )
        sources: Any = (
            self.routes.gateway_objects,
            self.routes.live,
            self.routes.kept,
            self.routes.service_rules,
            self.destinations.virtual,
            self.destinations.external,
            self.destinations.federated,
            self.destinations.at_home,
            self.doors.passthrough,
            self.doors.terminated,
        )
        tagged: Any = tuple(engine.step(f"{s.name} by source", s, _tag(s.name)) for s in sources)
        self.clusters = self.doors.clusters
        self.objects: Collection[ObjectKey, IstioObject] = engine.fold(
            "istio objects", tagged, lambda _, found: [obj.key for obj in _objects(found)], _One
        )
        self.clusters_of = self.objects.index(lambda key, obj: obj.parents)
        self.problems: Collection[ObjectKey, tuple[Problem, ...]] = engine.fold(
            "istio limits", tagged, lambda _, found: [p.ref for p in _problems(found)], _Problems
        )


def _tag(name: str) -> Any:
    """The keys of a fold's sources have to be distinct."""
    return lambda _, key, found: {(name, key): found}
