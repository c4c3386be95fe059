"""Writes the users' objects of a `World` as manifests: one file per object, each replaced in one move."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.world import EASTWEST_PORT, MGMT, POD_PORT, SHOP, Table, World, host
from tests.fleet import fleet_manifests as m

GATEWAY = "gw/ingress"
_MORE = 81  # the port of all VirtualGateways but the first


class Folders:
    def __init__(self, root: Path, world: World) -> None:
        self._root, self._world = root, world

    def of(self, cluster: str) -> Path:
        return self._root / "clusters" / cluster

    def begin(self) -> None:
        """What no edit touches; so no folder is ever empty."""
        own = [m.registered(c) for c in self._world.clusters]
        base = m.workspace("base", namespaces=("gw", SHOP))
        opened = [_settings("gw", everyone=True)]
        m.write(self.of(MGMT) / "fixed.yaml", *own, base, m.virtual_gateway(), *opened)
        for cluster in self._world.clusters:
            m.write(self.of(cluster) / "fixed.yaml", *_gateway(cluster, self._world.gateway_address(cluster)))

    # Each writes one object as it is in the world now, or removes its file.

    def table(self, name: str, former: Table | None) -> None:
        table = self._world.tables.get(name)
        if former is not None and (table is None or table.home != former.home):
            (self.of(former.home) / f"table-{name}.yaml").unlink()
        if table is None:
            return
        routes = [
            m.to(path, _destination(action.to), f"to-{n}")
            if action.to
            else m.says(path, action.says) | {"name": f"says-{n}"}
            for n, (path, action) in enumerate(table.routes.items())
        ]
        made = m.table(name, routes, host=host(name), namespace=table.namespace, edge=(table.gateway, "gw"))
        m.write(self.of(table.home) / f"table-{name}.yaml", made)

    def gateway(self, name: str) -> None:
        file = self.of(MGMT) / f"gateway-{name}.yaml"
        where = self._world.gateways.get(name)
        if where is None:
            file.unlink()
            return
        spec = {
            "workloads": [{"selector": {"cluster": where}}],
            "listeners": [{"http": {}, "port": {"number": _MORE}}],
        }
        m.write(file, m.gloo("VirtualGateway", "gw", name, spec))

    def destination(self, name: str) -> None:
        file = self.of(MGMT) / f"destination-{name}.yaml"
        if name in self._world.destinations:
            m.write(file, m.virtual_destination(name))
        else:
            file.unlink()

    def service(self, cluster: str, app: str) -> None:
        file = self.of(cluster) / f"service-{app}.yaml"
        pods = self._world.services.get((cluster, app))
        if not pods:
            file.unlink()
            return
        m.write(file, *m.service(cluster, app, [self._world.pod_address(cluster, n) for n in sorted(pods)]))

    def workspace(self, name: str) -> None:
        file = self.of(MGMT) / f"workspace-{name}.yaml"
        if name in self._world.workspaces:
            m.write(file, m.workspace(name, namespaces=(name,)), _settings(name, everyone=False))
        else:
            file.unlink()


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
