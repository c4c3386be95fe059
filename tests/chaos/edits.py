"""What users do: one random change of the world each, and of the objects that say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from tests.chaos.manifests import TEAMS, Manifests
from tests.chaos.world import MGMT, SHOP, Action, Table, World

_TABLES = 60
_DESTINATIONS = 8
_PODS = 6
_BULK = 20  # tables in one large edit


class Edit(NamedTuple):
    """`write` brings the objects to what the world says already; it removes nothing but what is in the edit."""

    what: str
    write: Callable[[], None]


class Users:
    """Edits depend on the random source and the world alone."""

    def __init__(self, world: World, manifests: Manifests, random: Random) -> None:
        self._world, self._manifests, self._random = world, manifests, random
        self._count = 0
        kinds: list[tuple[int, Callable[[], Edit]]] = [
            (8, self._change_table),
            (5, self._add_table),
            (4, self._remove_table),
            (7, self._change_service),
            (2, self._add_destination),
            (1, self._remove_destination),
            (1, self._toggle_gateway),
            (1, self._toggle_workspace),
            (2, self._change_many),
        ]
        self._weights, self._kinds = [w for w, _ in kinds], [k for _, k in kinds]

    def edit(self) -> Edit:
        return self._random.choices(self._kinds, self._weights)[0]()

    def first(self) -> Iterator[Edit]:
        """So many that the guards have something to protect; each is to be written before the next one is taken."""
        for times, kind in (
            (_DESTINATIONS // 2, self._add_destination),
            (3 * len(self._world.clusters), self._change_service),
            (2, self._toggle_workspace),
            (_TABLES // 2, self._add_table),
        ):
            yield from (kind() for _ in range(times))

    def text(self) -> str:
        self._count += 1
        return f"text {self._count}"

    # ---------------------------------------------------------------- tables

    def put_table(self, name: str, table: Table) -> Edit:
        former = self._world.tables.get(name)
        self._world.tables[name] = table
        return Edit(f"table {name} in {table.home}", lambda: self._manifests.table(name, former))

    def told_by(self, cluster: str) -> Edit:
        """One that only the agent of `cluster` tells the server."""
        return self.put_table(f"own-{cluster}", Table(cluster, SHOP, "edge", {"/own": Action(says=self.text())}))

    def _routes(self) -> dict[str, Action]:
        routes = {}
        for n in range(self._random.randint(1, 4)):
            to = self._random.random() < 0.5 and self._pick(self._world.destinations)
            routes[f"/{n}"] = Action(to=to) if to else Action(says=self.text())
        return routes

    def _fresh_table(self) -> Table:
        home = self._random.choice((MGMT, MGMT, *self._world.clusters))
        namespace = self._random.choice((SHOP, SHOP, *TEAMS))
        return Table(home, namespace, self._pick(self._world.gateways), self._routes())

    def _add_table(self) -> Edit:
        free = [f"t{n}" for n in range(_TABLES) if f"t{n}" not in self._world.tables]
        return self.put_table(self._random.choice(free), self._fresh_table()) if free else self._remove_table()

    def _change_table(self) -> Edit:
        if not (name := self._pick(self._world.tables)):
            return self._add_table()
        return self.put_table(name, self._world.tables[name]._replace(routes=self._routes()))

    def _remove_table(self) -> Edit:
        if not (name := self._pick(self._world.tables)):
            return self._add_table()
        former = self._world.tables.pop(name)
        return Edit(f"no table {name}", lambda: self._manifests.table(name, former))

    def _change_many(self) -> Edit:
        """As a release does; sometimes most of them go, which the guards have to question and then to let through."""
        names = self._random.sample(sorted(self._world.tables), min(_BULK, len(self._world.tables)))
        gone = self._random.random() < 0.3
        edits = [self._remove(name) if gone else self.put_table(name, self._again(name)) for name in names]

        def write() -> None:
            for edit in edits:
                edit.write()

        return Edit(f"{len(names)} tables {'gone' if gone else 'changed'}", write)

    def _remove(self, name: str) -> Edit:
        former = self._world.tables.pop(name)
        return Edit("", lambda: self._manifests.table(name, former))

    def _again(self, name: str) -> Table:
        return self._world.tables[name]._replace(routes=self._routes())

    # ---------------------------------------------------------------- everything else

    def _change_service(self) -> Edit:
        cluster = self._random.choice(self._world.clusters)
        app = f"d{self._random.randrange(_DESTINATIONS)}"
        pods = frozenset(self._random.sample(range(_PODS), self._random.randint(0, 3)))
        if not pods and (cluster, app) not in self._world.services:
            pods = frozenset({0})
        if pods:
            self._world.services[cluster, app] = pods
        else:
            del self._world.services[cluster, app]
        return Edit(f"service {app} in {cluster}: {sorted(pods)}", lambda: self._manifests.service(cluster, app))

    def _add_destination(self) -> Edit:
        free = [f"d{n}" for n in range(_DESTINATIONS) if f"d{n}" not in self._world.destinations]
        if not free:
            return self._change_service()
        name = self._random.choice(free)
        self._world.destinations.add(name)
        return Edit(f"destination {name}", lambda: self._manifests.destination(name))

    def _remove_destination(self) -> Edit:
        if not (name := self._pick(self._world.destinations - self._world.used())):
            return self._add_destination()
        self._world.destinations.discard(name)
        return Edit(f"no destination {name}", lambda: self._manifests.destination(name))

    def _toggle_gateway(self) -> Edit:
        name = f"more{self._random.randrange(len(self._world.clusters))}"
        if self._world.gateways.pop(name, None) is None:
            self._world.gateways[name] = self._world.clusters[int(name[4:])]
        return Edit(f"gateway {name}", lambda: self._manifests.gateway(name))

    def _toggle_workspace(self) -> Edit:
        name = self._random.choice(TEAMS)
        self._world.workspaces ^= {name}
        return Edit(f"workspace {name}", lambda: self._manifests.workspace(name))

    def _pick(self, names: object) -> str:
        """Any of them; empty when there is none."""
        found = sorted(names)  # type: ignore[call-overload]  # names of any collection
        return str(self._random.choice(found)) if found else ""
