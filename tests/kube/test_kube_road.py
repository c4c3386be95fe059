"""The whole road with API servers for clusters: a RouteTable applied there is answered by a plain Envoy."""

from __future__ import annotations

import base64
import shutil
import time
from contextlib import AsyncExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from agent.apply.journal import recorded
from agent.apply.xds_configs import _parts_of
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, effective
from tests.fleet.fleet_network import until
from tests.kube.kube_fleet import KubeFleet, running_kube_fleet


async def _state(fleet: KubeFleet, obj: m.Object) -> dict[str, Any]:
    found: dict[str, Any] = (await fleet.kubes["mgmt"].get(obj)).get("status", {}).get("common", {}).get("State", {})
    return found


@pytest.mark.spec("M-2", "M-10", "M-57")
async def test_from_an_applied_route_table_to_an_answer_across_clusters(tmp_path: Path) -> None:
    async with running_kube_fleet(tmp_path) as fleet:
        await fleet.apply_world()
        server = await fleet.start_server()
        agents = {c: await fleet.start_agent(c, server.relay.port) for c in fleet.clusters}
        for cluster, agent in agents.items():
            await fleet.backend(cluster)
            fleet.start_envoy(agent)
        await fleet.answers("east", "/cart", "east 0")
        await fleet.answers("west", "/cart", "west 0")

        await fleet.apply("mgmt", fleet.www("/basket"))
        await fleet.answers("east", "/basket", "east 0")
        await until(lambda: _accepted(fleet, fleet.www("")), why="the status says so")
        await until(lambda: _accepted(fleet, m.registered("east")), why="the cluster's status says so")

        await fleet.backend("east", 1)
        await fleet.apply("east", *m.service("east", "cart", [fleet.pod("east", 1)]))
        await fleet.answers("east", "/basket", "east 1")

        await fleet.kubes["east"].delete(m.service("east", "cart", [])[-1])
        await fleet.answers("east", "/basket", "west 0")


@pytest.mark.spec("M-9")
async def test_a_new_agent_serves_without_the_server_what_is_kept_in_its_cluster(tmp_path: Path) -> None:
    """As a new pod does: with nothing of what the former one had on its disk."""
    own = {"secrets_dir": None}
    async with running_kube_fleet(tmp_path, "east") as fleet, AsyncExitStack() as stack:
        await fleet.apply_world()
        await _bring_secrets(fleet, "east")
        async with fleet.server() as server:
            port = server.relay.port
            agent = await stack.enter_async_context(fleet.agent("east", port, **own))
            await fleet.backend("east")
            envoy = fleet.start_envoy(agent)
            await fleet.answers("east", "/cart", "east 0")
            served, certificate = effective(agent), agent._certificates.of(GATEWAY)
            assert certificate is not None
            token, key = agent.tokens.ensure(GATEWAY), agent.world._secret_key
            await until(lambda: _kept(fleet, agent), why="the state is kept in the cluster")
            await until(lambda: _written(fleet, certificate.chain), why="so is the certificate of the gateway")
        await stack.aclose()
        shutil.rmtree(tmp_path / "agent-east")
        envoy.kill()
        began = time.monotonic()
        agent = await fleet.start_agent("east", port, **own)
        assert agent.ready
        assert not agent.pull.connected
        assert (effective(agent), agent._certificates.of(GATEWAY)) == (served, certificate)
        assert (agent.tokens.ensure(GATEWAY), agent.world._secret_key) == (token, key)
        fleet.start_envoy(agent, "gw-1", token=token)
        await fleet.backend("east", 1)
        await fleet.apply("east", *m.service("east", "cart", [fleet.pod("east", 1)]))
        await fleet.answers("east", "/cart", "east 1")
        assert time.monotonic() - began < 10


async def _bring_secrets(fleet: KubeFleet, cluster: str) -> None:
    for folder in fleet.secrets(cluster).iterdir():
        files = {f.name: base64.b64encode(f.read_bytes()).decode() for f in folder.iterdir() if f.name[0] != "."}
        await fleet.apply(cluster, m.core("Secret", m.ADMIN_NAMESPACE, folder.name, data=files))


async def _written(fleet: KubeFleet, chain: bytes) -> bool:
    path = f"/api/v1/namespaces/{m.ADMIN_NAMESPACE}/secrets/gloo-mesh-agent-gateways"
    found = (await fleet.kubes["east"].http.get(path)).json()
    return base64.b64encode(chain).decode() in (found.get("data") or {}).values()


async def test_a_proxy_shows_the_token_of_its_service_account(tmp_path: Path) -> None:
    async with running_kube_fleet(tmp_path, "east") as fleet:
        await fleet.apply_world()
        server = await fleet.start_server()
        agent = await fleet.start_agent("east", server.relay.port)
        await fleet.backend("east")
        fleet.start_envoy(agent, token=await _token_of(fleet, "gw", "gateway"))
        await fleet.answers("east", "/cart", "east 0")
        for namespace, name in (("gw", "default"), ("shop", "gateway")):
            caller = await agent._callers.who(await _token_of(fleet, namespace, name))
            assert caller is not None
            assert caller.name == f"service account {namespace}/{name}"
            assert not caller.may("gw/ingress")
        assert await agent._callers.who(fleet.servers["east"].token("admin")) is None, "no service account"
        assert await agent._callers.who("made up") is None


async def _token_of(fleet: KubeFleet, namespace: str, name: str) -> str:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
    kube = fleet.kubes["east"]
    await kube.apply(account)
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    answer = await kube.http.post(
        path, json={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    )
    assert answer.is_success, answer.text
    token: str = answer.json()["status"]["token"]
    return token


async def _kept(fleet: KubeFleet, agent: Agent) -> bool:
    """The cluster has what the agent serves now."""
    found = await fleet.kubes["east"].http.get(
        f"/apis/internal.gloo.solo.io/v2/namespaces/{m.ADMIN_NAMESPACE}/xdsconfigs"
    )
    kept = {part[3] for item in found.json()["items"] for part in _parts_of(item.get("spec") or {})}
    states = agent.gateways_.states().values()
    return bool(kept) and kept == {blake2b(recorded(state), digest_size=16).hexdigest() for state in states}


async def _accepted(fleet: KubeFleet, obj: m.Object) -> bool:
    found, state = await fleet.kubes["mgmt"].get(obj), await _state(fleet, obj)
    return state.get("approval") == "ACCEPTED" and state.get("observedGeneration") == found["metadata"]["generation"]
