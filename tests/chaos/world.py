"""The users' side of the soak: what they have written, and what each gateway has to serve for it.

This is the whole of what the checker knows. It is a model of a small part of the API, written down anew from what users
are promised: nothing of the translator, of the server or of an agent is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

EVERYWHERE = ""
MGMT = "mgmt"
SHOP = "shop"  # the namespace whose workspace always is there
EASTWEST_PORT = 16443
POD_PORT = 8080
_DOMAIN = ".example"

# ("route", host, path) -> "says TEXT" or "to DESTINATION"; ("endpoint", destination, "address:port") -> "".
Key = tuple[str, str, str]
Served = Mapping[Key, str]


class Action(NamedTuple):
    says: str = ""
    to: str = ""  # name of a destination

    def __str__(self) -> str:
        return f"to {self.to}" if self.to else f"says {self.says}"


class Table(NamedTuple):
    home: str  # the folder it is written in
    namespace: str
    gateway: str  # name of a VirtualGateway
    routes: Mapping[str, Action]  # path -> action


class World:
    """What the folders say. `gateways`: VirtualGateway -> the only cluster it is in; `services`: (cluster, app) ->
    numbers of the ready pods; `workspaces`: namespaces that have an owner.
    """

    def __init__(self, clusters: tuple[str, ...]) -> None:
        self.clusters = clusters
        self.gateways: dict[str, str] = {"edge": EVERYWHERE}
        self.tables: dict[str, Table] = {}
        self.destinations: set[str] = set()
        self.services: dict[tuple[str, str], frozenset[int]] = {}
        self.workspaces: set[str] = {SHOP}

    # ---------------------------------------------------------------- addresses

    def gateway_address(self, cluster: str) -> str:
        return f"198.18.{self.clusters.index(cluster) + 1}.1"

    def pod_address(self, cluster: str, number: int) -> str:
        return f"198.18.{self.clusters.index(cluster) + 1}.{10 + number}"

    # ---------------------------------------------------------------- what follows from it

    def in_force(self, cluster: str) -> Iterator[tuple[str, Table]]:
        """The tables on the gateway of `cluster`."""
        for name, table in self.tables.items():
            where = self.gateways.get(table.gateway)
            if where is not None and where in (EVERYWHERE, cluster) and table.namespace in self.workspaces:
                yield name, table

    def endpoints(self, cluster: str, destination: str) -> set[str]:
        """As the gateway of `cluster` reaches them: own pods themselves, those of others through their gateways."""
        found = set()
        for (where, app), pods in self.services.items():
            if app != destination or not pods:
                continue
            if where == cluster:
                found |= {f"{self.pod_address(where, n)}:{POD_PORT}" for n in pods}
            else:
                found.add(f"{self.gateway_address(where)}:{EASTWEST_PORT}")
        return found

    def wanted(self, cluster: str) -> dict[Key, str]:
        """What the gateway of `cluster` has to serve, exactly."""
        found: dict[Key, str] = {}
        for name, table in self.in_force(cluster):
            for path, action in table.routes.items():
                found["route", host(name), path] = str(action)
                if action.to:
                    found |= {("endpoint", action.to, e): "" for e in self.endpoints(cluster, action.to)}
        return found

    def home(self, key: Key) -> str:
        """The cluster whose agent told of it; the server reads the management folder itself."""
        kind, name, address = key
        if kind == "route":
            return self.tables[name.removesuffix(_DOMAIN)].home
        return self.clusters[int(address.split(".")[2]) - 1]

    def used(self) -> set[str]:
        """Destinations that a table routes to."""
        return {action.to for table in self.tables.values() for action in table.routes.values() if action.to}


def host(table: str) -> str:
    return f"{table}{_DOMAIN}"
