"""From routes, destinations and listeners to the resources of each class of like gateways.

Gateways that would get the same bytes share one `GatewayClass`, so an edited table costs the same for one gateway and
for a hundred. The composer
sees deltas only; it never walks a class's resources.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from fingerpost.objects import ObjectKey
from fingerpost.relay.pieces import Piece, PieceList
from mgmt.translate.ir import Destination, Value
from mgmt.translate.routing.gateway_plan import GatewayPlan, RouteConfigPlan

ResourceKey = tuple[str, str]  # type ("cluster", "endpoints", "listener", "routes", "object"), name
GatewayKey = tuple[str, str]  # cluster, "<namespace>/<name>" of the gateway Service; or ISTIO_SCOPE


class RouteClass(Value, frozen=True):
    """A RouteConfiguration as like gateways share it.

    `workspace` is the gateway's; `cluster` is set only where some bound table names a Service of that very cluster.
    """

    config: RouteConfigPlan
    workspace: str
    cluster: str = ""


class GatewayClass(Value, frozen=True):
    """Everything that decides what a gateway gets. `parts` are resource groups of this class alone, such as an east-
    west listener.
    """

    routes: tuple[RouteClass, ...]
    plan: GatewayPlan
    parts: tuple[tuple[str, ObjectKey], ...] = ()


class ObjectClass(Value, frozen=True):
    """The Istio objects of one cluster: a scope named `ISTIO_SCOPE`, guarded and kept like that of a gateway."""

    cluster: str


class PinnedClass(Value, frozen=True):
    """As `of`, but of gateways that get what older inputs give: those of `rollbacks`, newest first."""

    rollbacks: tuple[str, ...]
    of: GatewayClass | ObjectClass


ScopeClass = GatewayClass | ObjectClass | PinnedClass


class RouteContribution(Value, frozen=True):
    """What one root table puts into one RouteConfiguration. `last` holds its catch-all routes, used when tables share a
    host.
    """

    table: ObjectKey
    order: tuple[str, str, str, str]  # creation time, namespace, name, cluster: the older table's routes come first
    hosts: tuple[str, ...]
    ordered: tuple[Piece, ...] = ()
    normal: tuple[Piece, ...] = ()
    last: tuple[Piece, ...] = ()
    uses: frozenset[Destination] = frozenset()


Resources = Mapping[ResourceKey, PieceList]
Changed = dict[ResourceKey, PieceList | None]
ContributionDelta = tuple[frozenset[str], frozenset[str]]  # gone, come


class _Members:
    """What one class holds now, besides its route lists."""

    __slots__ = ("names", "statics", "uses")

    def __init__(self) -> None:
        self.uses: Counter[Destination] = Counter()
        self.names: dict[str, Destination] = {}
        self.statics: Resources = {}


class Composer:
    """Keeps, per class, which destinations its routes use, and turns deltas into changed resources."""

    def __init__(self) -> None:
        self._route_uses: dict[RouteClass, Counter[Destination]] = {}
        self._members: dict[GatewayClass, _Members] = {}
        self._classes_of: dict[RouteClass, dict[GatewayClass, None]] = {}
        self._destinations: dict[Destination, Resources] = {}
        self._routes: dict[RouteClass, PieceList] = {}
        self._users: dict[Destination, dict[GatewayClass, None]] = {}
        self._tables: dict[RouteClass, set[str]] = {}

    def turn(
        self,
        contributions: Iterable[tuple[RouteClass, RouteContribution | None, RouteContribution | None]],
        routes: Mapping[RouteClass, PieceList | None],
        destinations: Mapping[Destination, Resources | None],
        classes: Mapping[GatewayClass, Resources | None],
    ) -> dict[GatewayClass, Changed]:
        """All changes of one wave. `classes` maps new, changed or vanished (None) classes to their own resources."""
        changed: dict[GatewayClass, Changed] = {}
        for gateway_class, statics in classes.items():
            self._change_class(gateway_class, statics, changed)
        for route_class, old, new in contributions:
            self._change_uses(route_class, old, new, changed)
        for destination, resources in destinations.items():
            self._change_destination(destination, resources, changed)
        for route_class, pieces in routes.items():
            if pieces is None:
                self._routes.pop(route_class, None)
            else:
                self._routes[route_class] = pieces
            for gateway_class in self._classes_of.get(route_class, ()):
                changed.setdefault(gateway_class, {})["routes", route_class.config.name] = pieces
        for gateway_class, out in changed.items():
            self._keep_shared(gateway_class, out)
        return changed

    def _keep_shared(self, gateway_class: GatewayClass, out: Changed) -> None:
        """A cluster can come from a route and from the class's own part (a gateway that is east-west too): it goes with
        the last.
        """
        members = self._members.get(gateway_class)
        if members is None:
            return
        for key in [k for k, resource in out.items() if resource is None]:
            used = members.names.get(key[1])
            shared = members.statics.get(key) or (self._destinations.get(used, {}).get(key) if used else None)
            if shared is not None:
                out[key] = shared

    def contributions(
        self, delta: Iterable[tuple[RouteClass, RouteContribution | None, RouteContribution | None]]
    ) -> dict[GatewayClass, ContributionDelta]:
        """Which tables came to and went from each class of gateways. Call before `turn`, with the same delta."""
        gone: dict[GatewayClass, set[str]] = {}
        come: dict[GatewayClass, set[str]] = {}
        for route_class, old, new in delta:
            tables = self._tables.setdefault(route_class, set())
            for gateway_class in self._classes_of.get(route_class, ()):
                if old is not None and new is None:
                    gone.setdefault(gateway_class, set()).add(old.table.contribution)
                elif new is not None and old is None:
                    come.setdefault(gateway_class, set()).add(new.table.contribution)
            if new is not None:
                tables.add(new.table.contribution)
            elif old is not None:
                tables.discard(old.table.contribution)
            if not tables:
                del self._tables[route_class]
        out = {}
        for gateway_class in {*gone, *come}:
            # A table that left one route configuration may still be on another of the same gateways.
            left = {
                table
                for table in gone.get(gateway_class, ())
                if not any(table in self._tables.get(r, ()) for r in gateway_class.routes)
            }
            out[gateway_class] = frozenset(left), frozenset(come.get(gateway_class, ()))
        return out

    def resources(self, gateway_class: GatewayClass) -> dict[ResourceKey, PieceList]:
        """All of a class, for one that is published anew; it walks everything, so it is only for rare occasions."""
        members = self._members[gateway_class]
        out: dict[ResourceKey, PieceList] = {}
        for destination in members.uses:
            out.update(self._destinations.get(destination, {}))
        for route_class in gateway_class.routes:
            if (pieces := self._routes.get(route_class)) is not None:
                out["routes", route_class.config.name] = pieces
        return out | dict(members.statics)

    def tables_of(self, gateway_class: GatewayClass) -> frozenset[str]:
        return frozenset().union(*(self._tables.get(r, ()) for r in gateway_class.routes))

    def classes_of(self, route_class: RouteClass) -> Iterable[GatewayClass]:
        return tuple(self._classes_of.get(route_class, ()))

    def users_of(self, destination: Destination) -> Iterable[GatewayClass]:
        return tuple(self._users.get(destination, ()))

    def classes(self) -> Iterable[GatewayClass]:
        return tuple(self._members)

    def uses_of(self, gateway_class: GatewayClass) -> Iterable[Destination]:
        return tuple(self._members[gateway_class].uses)

    def _change_class(
        self, gateway_class: GatewayClass, statics: Resources | None, changed: dict[GatewayClass, Changed]
    ) -> None:
        members = self._members.get(gateway_class)
        out = changed.setdefault(gateway_class, {})
        if statics is None:
            if members is not None:
                self._remove_class(gateway_class, members)
            return
        if members is None:
            members = self._add_class(gateway_class, out)
        for key in members.statics:
            if key not in statics:
                out[key] = None
        for key, resource in statics.items():
            if members.statics.get(key) != resource:
                out[key] = resource
        members.statics = statics

    def _remove_class(self, gateway_class: GatewayClass, members: _Members) -> None:
        for destination in members.uses:
            self._unuse(destination, gateway_class)
        for route_class in gateway_class.routes:
            classes = self._classes_of[route_class]
            del classes[gateway_class]
            if not classes:
                del self._classes_of[route_class]
        del self._members[gateway_class]

    def _add_class(self, gateway_class: GatewayClass, out: Changed) -> _Members:
        """It finds the routes in place, and uses what they use."""
        members = self._members[gateway_class] = _Members()
        for route_class in gateway_class.routes:
            self._classes_of.setdefault(route_class, {})[gateway_class] = None
            if (pieces := self._routes.get(route_class)) is not None:
                out["routes", route_class.config.name] = pieces
            for destination, count in self._route_uses.get(route_class, {}).items():
                self._use(destination, count, gateway_class, out)
        return members

    def _change_uses(
        self,
        route_class: RouteClass,
        old: RouteContribution | None,
        new: RouteContribution | None,
        changed: dict[GatewayClass, Changed],
    ) -> None:
        before = old.uses if old else frozenset()
        after = new.uses if new else frozenset()
        if before == after:
            return
        counts = self._route_uses.setdefault(route_class, Counter())
        for destination in after - before:
            counts[destination] += 1
            for gateway_class in self._classes_of.get(route_class, ()):
                self._use(destination, 1, gateway_class, changed.setdefault(gateway_class, {}))
        for destination in before - after:
            counts[destination] -= 1
            if not counts[destination]:
                del counts[destination]
            for gateway_class in self._classes_of.get(route_class, ()):
                members = self._members[gateway_class]
                members.uses[destination] -= 1
                if not members.uses[destination]:
                    del members.uses[destination]
                    members.names.pop(destination.cluster_name, None)
                    self._unuse(destination, gateway_class)
                    out = changed.setdefault(gateway_class, {})
                    for key in self._destinations.get(destination, ()):
                        out[key] = None
        if not counts:
            del self._route_uses[route_class]

    def _use(self, destination: Destination, count: int, gateway_class: GatewayClass, out: Changed) -> None:
        members = self._members[gateway_class]
        members.uses[destination] += count
        if members.uses[destination] == count:
            members.names[destination.cluster_name] = destination
            self._users.setdefault(destination, {})[gateway_class] = None
            out.update(self._destinations.get(destination, {}))

    def _unuse(self, destination: Destination, gateway_class: GatewayClass) -> None:
        users = self._users.get(destination)
        if users is not None:
            users.pop(gateway_class, None)
            if not users:
                del self._users[destination]

    def _change_destination(
        self, destination: Destination, resources: Resources | None, changed: dict[GatewayClass, Changed]
    ) -> None:
        former = self._destinations.pop(destination, {})
        if resources is not None:
            self._destinations[destination] = resources
        for gateway_class in self._users.get(destination, ()):
            out = changed.setdefault(gateway_class, {})
            for key in former:
                if resources is None or key not in resources:
                    out[key] = None
            for key, resource in (resources or {}).items():
                if former.get(key) != resource:
                    out[key] = resource
