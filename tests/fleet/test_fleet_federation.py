"""A Service of another cluster by its federated name, through plain Envoy gateways."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import running_fleet

pytestmark = [pytest.mark.fleet, pytest.mark.envoy, pytest.mark.redis]


def _settings(*, enabled: bool) -> m.Object:
    options = {"federation": {"enabled": enabled, "serviceSelector": [{"labels": {"app": "cart"}}]}}
    return m.gloo("WorkspaceSettings", "shop", "settings", {"options": options}, group="admin")


@pytest.mark.spec("D-2", "D-48")
async def test_federation_makes_a_route_to_a_service_of_another_cluster_work(tmp_path: Path) -> None:
    remote = {"ref": {"name": "cart", "namespace": "shop", "cluster": "west"}, "port": {"number": 8000}}
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world(m.table("far", [m.to("/far", remote), m.says("/near", "near")], host="far.example"))
        fleet.write("mgmt", "settings.yaml", _settings(enabled=False))
        server = await fleet.start_server()
        agents = {c: await fleet.start_agent(c, server.relay.port) for c in fleet.clusters}
        for cluster in fleet.clusters:
            await fleet.backend(cluster)
            fleet.start_envoy(agents[cluster])
        await fleet.answers("east", "/near", "near", host="far.example")
        assert (await fleet.get("east", "/far", "far.example")).status == 500
        await fleet.answers("west", "/far", "west 0", host="far.example")
        fleet.write("mgmt", "settings.yaml", _settings(enabled=True))
        await fleet.answers("east", "/far", "west 0", host="far.example")
        assert {(await fleet.get("east", "/far", "far.example")).text for _ in range(10)} == {"west 0"}
