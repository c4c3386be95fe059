"""An agent of the minor version before this one (relay.md §3.3 rule 17): there is no older release, so it is this one
with what the older one would say in Hello.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fingerpost.relay.features import FEATURES
from fingerpost.relay.objects import ISTIO_SCOPE, OBJECT
from mgmt.app import Server
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, running_fleet
from tests.fleet.fleet_network import until

BEFORE = "0.0.9"
CONTRIBUTION = "networking.gloo.solo.io/RouteTable/mgmt/shop/www"


def write_world(fleet: Fleet) -> None:
    """East has an Istio gateway besides its Envoy."""
    fleet.write_world()
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    pod = m.pod("gw", "istio-0", "127.0.3.9", "node-east", {"app": "istio-gateway"})
    pod["spec"]["containers"] = [{"name": "istio-proxy", "args": ["proxy", "router"]}]
    spec = {"type": "LoadBalancer", "selector": {"app": "istio-gateway"}, "ports": ports}
    fleet.write("east", "istio.yaml", m.core("Service", "gw", "istio-ingress", spec=spec), pod)


def exceptions(server: Server, scope: str) -> set[tuple[str, str]]:
    state = server.publisher.arrivals.gateways.get(("east", scope))
    return {(e.contribution, e.code) for e in state.exceptions} if state else set()


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
@pytest.mark.spec("M-19")
async def test_an_agent_of_the_version_before_connects_syncs_and_applies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        write_world(fleet)
        await fleet.backend("east")
        server = await fleet.start_server()
        with monkeypatch.context() as before:
            before.setattr("agent.relay.link.FEATURES", tuple(name for name in FEATURES if name != "objects"))
            before.setattr("agent.app.__version__", BEFORE)
            async with fleet.agent("east", server.relay.port) as agent:
                envoy = fleet.start_envoy(agent)
                await fleet.answers("east", "/cart", "east 0")
                fleet.write_www("/basket")
                await fleet.answers("east", "/basket", "east 0")
                await until(lambda: agent.push.in_step, why="its facts are in step")
                shown = await fleet.client.json(server.admin_port, "/clusters")
                assert BEFORE in str(shown), "the server knows it as the version before"
                assert '"Warm"' in str(shown).replace("'", '"')
                published = server.publisher.scopes("east")[ISTIO_SCOPE].resources
                assert {type_ for type_, _ in published} == {OBJECT}, "there is something that it may not have"
                await until(lambda: (CONTRIBUTION, "NotUnderstood") in exceptions(server, ISTIO_SCOPE))
                assert exceptions(server, GATEWAY) == set()
                assert agent.desired.scopes[ISTIO_SCOPE].lists == {}
            envoy.kill()
        async with fleet.agent("east", server.relay.port) as agent:
            await until(lambda: (now := agent.desired.scopes.get(ISTIO_SCOPE)) and now.lists == dict(published))
            # It got them: what it says of them now is its own, since a folder has no API server.
            await until(lambda: {code for _, code in exceptions(server, ISTIO_SCOPE)} == {"NoApiServer"})
