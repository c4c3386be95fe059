"""The users' objects of a `World` as manifests, put where users keep them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tests.chaos.world import EASTWEST_PORT, MGMT, POD_PORT, SHOP, Table, World, host
from tests.fleet import fleet_manifests as m

GATEWAY = "gw/ingress"
TEAMS = ("team0", "team1", "team2")  # namespaces whose workspaces come and go
_MORE = 81  # the port of all VirtualGateways but the first


class Clusters(Protocol):
    """Where the objects are, and where servers and agents find them."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """For as long as the clusters are there."""

    def flags(self, cluster: str) -> dict[str, object]:
        """What tells a server or an agent which cluster it is in."""

    def put(self, cluster: str, name: str, *objects: m.Object) -> None:
        """They replace what was put under this name, and are there at once or soon."""

    def remove(self, cluster: str, name: str) -> None:
        """What was put under this name."""


class Manifests:
    def __init__(self, world: World, clusters: Clusters) -> None:
        self._world, self._clusters = world, clusters

    def begin(self) -> None:
        """What no edit touches; so no cluster is ever empty."""
        own = [m.registered(c) for c in self._world.clusters]
        base = m.workspace("base", namespaces=("gw", SHOP))
        opened = [_settings("gw", everyone=True)]
        self._clusters.put(MGMT, "fixed", *own, base, m.virtual_gateway(), *opened)
        for cluster in self._world.clusters:
            self._clusters.put(cluster, "fixed", *_gateway(cluster, self._world.gateway_address(cluster)))

    # Each writes one object as it is in the world now, or removes it.

    def table(self, name: str, former: Table | None) -> None:
        table = self._world.tables.get(name)
        if former is not None and (table is None or table.home != former.home):
            self._clusters.remove(former.home, f"table-{name}")
        if table is None:
            return
        routes = [
            m.to(path, _destination(action.to), f"to-{n}")
            if action.to
            else m.says(path, action.says) | {"name": f"says-{n}"}
            for n, (path, action) in enumerate(table.routes.items())
        ]
        made = m.table(name, routes, host=host(name), namespace=table.namespace, edge=(table.gateway, "gw"))
        self._clusters.put(table.home, f"table-{name}", made)

    def gateway(self, name: str) -> None:
        where = self._world.gateways.get(name)
        if where is None:
            self._clusters.remove(MGMT, f"gateway-{name}")
            return
        spec = {
            "workloads": [{"selector": {"cluster": where}}],
            "listeners": [{"http": {}, "port": {"number": _MORE}}],
        }
        self._clusters.put(MGMT, f"gateway-{name}", m.gloo("VirtualGateway", "gw", name, spec))

    def destination(self, name: str) -> None:
        if name in self._world.destinations:
            self._clusters.put(MGMT, f"destination-{name}", m.virtual_destination(name))
        else:
            self._clusters.remove(MGMT, f"destination-{name}")

    def service(self, cluster: str, app: str) -> None:
        pods = sorted(self._world.services.get((cluster, app), ()))
        if not pods:
            self._clusters.remove(cluster, f"service-{app}")
            return
        addresses = [self._world.pod_address(cluster, n) for n in pods]
        self._clusters.put(cluster, f"service-{app}", *m.service(cluster, app, addresses, numbers=pods))

    def workspace(self, name: str) -> None:
        if name in self._world.workspaces:
            made = m.workspace(name, namespaces=(name,)), _settings(name, everyone=False)
            self._clusters.put(MGMT, f"workspace-{name}", *made)
        else:
            self._clusters.remove(MGMT, f"workspace-{name}")


def _destination(name: str) -> m.Object:
    return {
        "ref": {"name": name, "namespace": SHOP, "cluster": MGMT},
        "kind": "VIRTUAL_DESTINATION",
        "port": {"number": 80},
    }


def _settings(namespace: str, *, everyone: bool) -> m.Object:
    others = [{"workspaces": [{"name": "*" if everyone else "base"}]}]
    return m.gloo("WorkspaceSettings", namespace, "settings", {"importFrom": others, "exportTo": others}, "admin")


def _gateway(cluster: str, address: str) -> list[m.Object]:
    node, service, pod = m.gateway(cluster, address)
    service["spec"]["ports"].append({"name": "more", "port": _MORE, "targetPort": _MORE + 8000})
    return [node, service, pod]


assert (EASTWEST_PORT, POD_PORT) == (m.EASTWEST_PORT, m.HTTP_PORT)
