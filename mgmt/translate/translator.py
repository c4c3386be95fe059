"""The translator: objects in, changed resources and statuses out. Incremental, and equal to a full rebuild after every
turn (M-53).

It is pure in the sense that matters: no clock, no I/O, no randomness; equal inputs give equal bytes whatever their
order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fingerpost.objects import ObjectKey
from fingerpost.relay.objects import ISTIO_SCOPE
from fingerpost.relay.pieces import PieceList
from fingerpost.relay.route_forms import Form
from mgmt.translate.emit.envoy.assemble import RouteConfigReducer
from mgmt.translate.engine import Collection, Context, Engine, Failure
from mgmt.translate.graph.accepted import decode, encode
from mgmt.translate.graph.classes import GatewayClassGraph, RouteClassGraph
from mgmt.translate.graph.destinations import Built, DestinationGraph
from mgmt.translate.graph.forms import FormReducer
from mgmt.translate.graph.freezing import FreezeGraph, pinned, unplaced
from mgmt.translate.graph.gateways import GatewayGraph
from mgmt.translate.graph.inputs import Inputs
from mgmt.translate.graph.interests import InterestGraph
from mgmt.translate.graph.istio import IstioGraph
from mgmt.translate.graph.istio_routes import IstioRouteGraph
from mgmt.translate.graph.ownership import OwnershipGraph, Place
from mgmt.translate.graph.policies import PolicyGraph
from mgmt.translate.graph.statuses import StatusGraph
from mgmt.translate.graph.tables import TableGraph
from mgmt.translate.graph.warmup import Warmup
from mgmt.translate.graph.world import ViewGraph
from mgmt.translate.ir import Destination
from mgmt.translate.object_scopes import ObjectScopes, pieces_of, resource_key
from mgmt.translate.scopes import (
    Composer,
    GatewayKey,
    ObjectClass,
    ResourceKey,
    RouteClass,
    RouteContribution,
    ScopeClass,
)
from mgmt.translate.status import Status, failed
from mgmt.translate.turn import Turn


def gateway_key(key: ObjectKey) -> GatewayKey:
    return key.cluster, f"{key.namespace}/{key.name}"


class Translator:
    """`cold` clusters are those that have not reported since the start although they once did (relay.md §7.3)."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.engine = engine = Engine()
        self.inputs = inputs = Inputs(engine)
        self.owners = OwnershipGraph(engine, inputs, place)
        self.gateways = GatewayGraph(engine, inputs, self.owners)
        self.views = ViewGraph(engine, inputs, self.owners)
        self.tables = TableGraph(engine, inputs, self.owners, self.gateways, self.views)
        self.route_classes = RouteClassGraph(engine, self.gateways, self.tables)
        self.tables.serve(engine, self.route_classes.present)
        self.policies = PolicyGraph(engine, inputs, self.owners, self.views)
        routes = IstioRouteGraph(engine, self.owners, self.gateways, self.tables, self.policies)
        self.freeze = FreezeGraph(engine, self.tables, routes, inputs.accepted, decode)
        self.tables.contribute(engine, self.freeze.frozen)
        routes.finish(engine, self.freeze.frozen)
        members: Any = (self.route_classes.present, self.tables.contributions)
        self.routes: Collection[RouteClass, PieceList] = engine.fold(
            "route configurations",
            members,
            lambda key, _: (key if isinstance(key, RouteClass) else key[0],),
            RouteConfigReducer,
        )
        self.forms: Collection[RouteClass, Form] = engine.fold(
            "forms of routes",
            (self.tables.contributions,),
            lambda key, _: (key[0],),
            lambda route_class: FormReducer(route_class, place.scoped_from),
        )
        self.destinations = DestinationGraph(
            engine, inputs, self.owners, self.gateways, self.views, self.policies, self.tables.contributions
        )
        self.istio = IstioGraph(
            engine,
            inputs,
            self.owners,
            self.gateways,
            self.views,
            routes,
            self.policies,
            self.destinations,
        )
        self.classes = GatewayClassGraph(engine, self.gateways, self.route_classes, self.forms, self.destinations)
        self.interests = InterestGraph(engine, self.gateways, self.views, self.destinations)
        self.statuses = StatusGraph(
            engine,
            inputs,
            place,
            self.owners,
            self.gateways,
            self.views,
            self.tables,
            self.policies,
            self.destinations,
            self.istio,
        )
        self.composer = Composer()
        self._objects = ObjectScopes()
        self._warmup = Warmup(self.owners, self.tables, self.istio, self.composer)
        self._cold: frozenset[str] = frozenset()
        self._warming = False
        self._failing: dict[ObjectKey, str] = {}
        self._translated: dict[ObjectKey, int] = {}  # the generation that is in force
        # What is to be said in a status besides what was found here.
        self.annotate: Callable[[ObjectKey, Status], Status] = lambda _, status: status

    def feed(self, changes: Iterable[tuple[ObjectKey, bytes | None]]) -> None:
        for key, body in changes:
            self.inputs.feed(key, body)

    def set_cold(self, clusters: Iterable[str]) -> None:
        self._cold = frozenset(clusters)

    def turn(self) -> Turn:
        """Carry everything fed since the last turn through; returns what changed."""
        steps = self.engine.turn()
        contributions = [
            (route_class, old, new) for (route_class, _), (old, new) in self.tables.contributions.delta.items()
        ]
        delta = self.composer.contributions(contributions)
        classes = self.composer.turn(
            contributions,
            {key: new for key, (_, new) in self.routes.delta.items()},
            {key: _resources(key, new) for key, (_, new) in self.destinations.built.delta.items()},
            {key: new.resources if new else None for key, (_, new) in self.classes.statics.delta.items()},
        )
        # A new class brings all its tables at once; the deltas above do not tell of those it found in place.
        for gateway_class, (_, new) in self.classes.present.delta.items():
            if new:
                gone, _come = delta.get(gateway_class, (frozenset(), frozenset()))
                delta[gateway_class] = (gone, self.composer.tables_of(gateway_class))
        objects, object_delta = self._objects.turn(self.istio.objects.delta)
        gateways: dict[GatewayKey, ScopeClass | None] = {
            gateway_key(k): new for k, (_, new) in self.classes.of_gateway.delta.items()
        }
        for cluster, (_, new) in self.istio.clusters.delta.items():
            gateways[cluster, ISTIO_SCOPE] = ObjectClass(cluster=cluster) if new else None
        statuses = self._statuses()
        changed: dict[ScopeClass, Mapping[ResourceKey, PieceList | None]] = dict([*classes.items(), *objects.items()])
        contributed: dict[ScopeClass, tuple[frozenset[str], frozenset[str]]] = dict(
            [*delta.items(), *object_delta.items()]
        )
        turn = Turn(
            classes=changed,
            gateways=gateways,
            contributions=contributed,
            statuses=statuses,
            interests=self.interests.changed(),
            warming=self._warm(),
            kept=self.kept(),
            accepted=pinned(self.freeze.frozen, () if self._cold else self.inputs.accepted.items, encode),
            steps=steps,
        )
        self.engine.settle()
        return turn

    def kept(self) -> dict[str, str]:
        """Contributions of frozen tables whose content nobody here knows, or not for all of their gateways: whoever
        holds them keeps them.
        """
        out = {}
        for key, frozen in self.freeze.frozen.items.items():
            places = (route_class for route_class, _ in self.tables.former(key))
            if unplaced(frozen.content, places):
                out[key.contribution] = f"configuration is frozen: {frozen.reason}"
        return out

    def _warm(self) -> Mapping[ScopeClass, Mapping[str, str]] | None:
        if not self._cold and not self._warming:
            return None
        self._warming = bool(self._cold)
        return self._warmup.keeps(self._cold) if self._cold else {}

    def _statuses(self) -> dict[ObjectKey, Status | None]:
        out: dict[ObjectKey, Status | None] = {}
        for collection in self.statuses.collections:
            for key, (_, new) in collection.delta.items():
                out[key] = new
        before, self._failing = self._failing, failed_objects(self.engine.failures())
        for key in before.keys() | self._failing.keys():
            if key not in out and before.get(key) != self._failing.get(key) and (found := self._found(key)):
                out[key] = found
        for key, status in out.items():
            if status is None:
                self._translated.pop(key, None)
            elif key not in self._failing:
                self._translated[key] = status.observed_generation
        return {key: self._shown(key, status) if status else None for key, status in out.items()}

    def _found(self, key: ObjectKey) -> Status | None:
        for collection in self.statuses.collections:
            if key in collection.items:
                return collection.items[key]
        return None

    def _shown(self, key: ObjectKey, status: Status) -> Status:
        """A unit that raised is FAILED, and the generation in force is the one before (M-54)."""
        wrong = self._failing.get(key)
        shown = status if wrong is None else failed(status, key, wrong, self._translated.get(key, 0))
        return self.annotate(key, shown)

    def status(self, key: ObjectKey) -> Status | None:
        status = self._found(key)
        return self._shown(key, status) if status is not None else None

    def all_statuses(self) -> Iterator[tuple[ObjectKey, Status]]:
        for collection in self.statuses.collections:
            for key, status in collection.items.items():
                yield key, self._shown(key, status)

    def sizes(self) -> list[dict[str, int | str]]:
        """Of each node of the engine: how much it holds, and how often it ran."""
        return self.engine.sizes()

    def failures(self) -> list[Failure]:
        return self.engine.failures()

    def objects_of(self, cluster: str) -> tuple[dict[ResourceKey, PieceList], frozenset[str]]:
        """All Istio objects of a cluster, and the contributions that they are of. It looks at every object there is."""
        mine = [obj for key, obj in self.istio.objects.items.items() if key.cluster == cluster]
        return {resource_key(o): pieces_of(o) for o in mine}, frozenset(o.contribution for o in mine)

    def peek(self) -> Context:
        """For questions from outside (explain, describe): reads that nobody needs to remember."""
        return Context.untracked()


def failed_objects(failures: Iterable[Failure]) -> dict[ObjectKey, str]:
    """Whose translation raised, and with what: the first user's object that the unit's key names."""
    out: dict[ObjectKey, str] = {}
    for failure in failures:
        key = failure.key
        parts = (key,) if isinstance(key, ObjectKey) else key if isinstance(key, tuple) else (key,)
        named = [p.object if isinstance(p, Destination) else p for p in parts]
        about = next((p for p in named if isinstance(p, ObjectKey)), None)
        if about is not None:
            out.setdefault(about, f"{failure.node}: {type(failure.error).__name__}: {failure.error}")
    return out


def _resources(destination: Destination, built: Built | None) -> dict[ResourceKey, PieceList] | None:
    if built is None:
        return None
    out = {("cluster", destination.cluster_name): built.cluster}
    if built.endpoints is not None:
        out["endpoints", destination.cluster_name] = built.endpoints
    return out


def translate(place: Place, objects: Mapping[ObjectKey, bytes]) -> tuple[Translator, Turn]:
    """A full rebuild: what the incremental result has to equal, and what `validate` runs offline."""
    translator = Translator(place)
    translator.feed(objects.items())
    return translator, translator.turn()


__all__ = ["RouteContribution", "Translator", "gateway_key", "translate"]
