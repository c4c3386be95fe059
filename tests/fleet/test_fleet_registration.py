"""Registration by hand (relay.md §4.2, way 2) and two clusters of one name (§4.3)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from fingerpost.objects import ObjectKey
from fingerpost.secrets.folder import FolderSecrets
from mgmt.app import Server
from mgmt.ingest.values import State
from mgmt.translate.graph.inputs import KUBERNETES_CLUSTER
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet, running_fleet, state_of
from tests.fleet.fleet_network import free_port, until
from tests.fleet.fleet_processes import command

ROOT, TOKEN, CLIENT = "relay-root-tls-secret", "relay-identity-token-secret", "relay-client-tls-secret"
_STEPS = ("KubernetesCluster", "root", "token", "agent")


def _conditions(server: Server, cluster: str) -> dict[str, Any]:
    folder = server._folder
    assert folder is not None
    status = folder.status(ObjectKey(KUBERNETES_CLUSTER, "mgmt", m.ADMIN_NAMESPACE, cluster)) or {}
    return {c["type"]: c for c in status.get("conditions", ())}


@pytest.mark.fleet
@pytest.mark.redis
@pytest.mark.spec("M-22")
async def test_way_2_in_every_order(tmp_path: Path) -> None:
    orders = {f"c{i}": order for i, order in enumerate(permutations(_STEPS))}
    async with running_fleet(tmp_path, "mgmt") as fleet:
        fleet.write("mgmt", "workspace.yaml", m.workspace())
        server = await fleet.start_server()
        own = FolderSecrets(fleet.secrets("mgmt"))
        root, token = (await own.get(ROOT))["ca.crt"], await own.get(TOKEN)
        agents: dict[str, Agent] = {}

        async def register(cluster: str) -> None:
            fleet.write("mgmt", f"{cluster}.yaml", m.registered(cluster))

        async def copy_root(cluster: str) -> None:
            await FolderSecrets(fleet.secrets(cluster)).put(ROOT, {"ca.crt": root})

        async def copy_token(cluster: str) -> None:
            await FolderSecrets(fleet.secrets(cluster)).put(TOKEN, token)

        async def start(cluster: str) -> None:
            fleet.write(cluster, "service.yaml", *m.service(cluster, "cart", ["127.0.0.1"]))
            agents[cluster] = await fleet.start_agent(cluster, server.relay.port)

        steps: dict[str, Callable[[str], Awaitable[None]]] = dict(
            zip(_STEPS, (register, copy_root, copy_token, start), strict=True)
        )
        for number in range(len(_STEPS)):
            for cluster, order in orders.items():
                await steps[order[number]](cluster)
            await _settled(server, agents, orders, number)
        await until(
            lambda: all(state_of(server, c) is State.WARM for c in orders), 30, lambda: _missing(server, orders)
        )
        assert all(a.link.connections == 1 for a in agents.values()), "one connection each, no restart"


async def _settled(server: Server, agents: dict[str, Agent], orders: dict[str, Any], number: int) -> None:
    """Whoever can get no further waits for the one thing that it lacks."""
    for cluster, order in orders.items():
        done = set(order[: number + 1])
        if done == {"root", "token", "agent"}:
            await until(lambda cluster=cluster: state_of(server, cluster) is State.PENDING, why=f"{cluster} is pending")
        elif "agent" in done and done != set(_STEPS):
            await until(lambda agent=agents[cluster]: agent.trust.finding, why=f"{cluster} says what it lacks")


def _missing(server: Server, orders: dict[str, Any]) -> list[Any]:
    return [(c, o, state_of(server, c)) for c, o in orders.items() if state_of(server, c) is not State.WARM]


async def _second(fleet: Fleet, stack: AsyncExitStack, port: int, *, token: bool) -> Agent:
    """Another cluster, with a folder and a state of its own, that calls itself east."""
    m.write(fleet.root / "twin" / "service.yaml", *m.service("east", "imposter", ["127.0.0.1"]))
    first, secrets = FolderSecrets(fleet.secrets("east")), FolderSecrets(fleet.root / "twin-secrets")
    for name in (ROOT, TOKEN if token else CLIENT):
        await secrets.put(name, await first.get(name))
    places = {"directory": fleet.root / "twin", "state_dir": fleet.root / "twin-state"}
    return await stack.enter_async_context(fleet.agent("east", port, secrets_dir=fleet.root / "twin-secrets", **places))


@pytest.mark.fleet
@pytest.mark.redis
@pytest.mark.spec("M-24")
@pytest.mark.parametrize("token", [False, True], ids=["with the first one's certificate", "with the token"])
async def test_a_second_cluster_of_a_name_is_refused_and_said(tmp_path: Path, token: bool) -> None:
    async with running_fleet(tmp_path, "east") as fleet, AsyncExitStack() as stack:
        fleet.write_world()
        server = await fleet.start_server()
        first = await fleet.start_agent("east", server.relay.port)
        await until(lambda: state_of(server, "east") is State.WARM and first.push.in_step)
        assert _conditions(server, "east").get("Conflict") is None
        held = {t: dict(server.ingest.keys("east", t)) for t in server.ingest.digests("east")}
        began = time.monotonic()
        second = await _second(fleet, stack, server.relay.port, token=token)
        found = await until(lambda: _conditions(server, "east").get("Conflict"), why="the condition")
        assert time.monotonic() - began < 5
        uids = first._folder.uid, second._folder.uid
        assert (found["status"], len(set(uids))) == ("True", 2)
        assert found["message"].startswith(f"two clusters claim this name: uid {uids[0]} at ipv4:127.0.0.1:")
        assert f", and uid {uids[1]} at ipv4:127.0.0.1:" in found["message"]
        assert state_of(server, "east") is State.WARM
        assert {t: dict(server.ingest.keys("east", t)) for t in server.ingest.digests("east")} == held
        assert (first.pull.connected, first.link.connections) == (True, 1)
        await until(lambda: second.link.connections > 1 or second.trust.finding, why="it has tried more than once")
        assert not second.desired.scopes, "and got nothing of what is meant for the first"
        assert (second.desired.config_version, second.pull.connected) == (0, False), "not even a welcome"
        contexts = tmp_path / "contexts.yaml"
        m.write_text(contexts, f"current: f\ncontexts: {{f: {{server: 'http://127.0.0.1:{server.admin_port}'}}}}\n")
        _, said = await command("check", "--config", str(contexts))
        assert "CHK046 east: two clusters claim this name" in said


@pytest.mark.fleet
@pytest.mark.redis
@pytest.mark.spec("M-36")
async def test_check_names_what_keeps_an_agent_away(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        server = await fleet.start_server()
        agent = await fleet.start_agent("east", server.relay.port, authority="relay.example")
        await until(lambda: agent.trust.finding)
        contexts = tmp_path / "contexts.yaml"
        agents = f"agents: {{east: 'http://127.0.0.1:{agent.admin_port}'}}"
        server_ = f"server: 'http://127.0.0.1:{server.admin_port}'"
        m.write_text(contexts, f"current: f\ncontexts: {{f: {{{server_}, {agents}}}}}\n")
        code, said = await command("check", "--config", str(contexts))
        assert code != 0
        assert "CHK143 east: the certificate of the server at" in said.replace(f"127.0.0.1:{server.relay.port}: ", "")
        assert "names gloo-mesh-mgmt-server.gloo-mesh, expected is relay.example;" in said


@pytest.mark.fleet
@pytest.mark.redis
@pytest.mark.spec("C-14")
async def test_check_tells_an_agent_at_the_door_from_one_whose_name_is_taken(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet, AsyncExitStack() as stack:
        server = await fleet.start_server()
        agent = await fleet.start_agent("east", server.relay.port)
        await until(lambda: _codes(agent) == ["RelayNotRegistered"], why="nobody has registered it")
        assert "there is no KubernetesCluster east" in agent.findings()[0]["message"]
        fleet.write_world()
        await until(lambda: state_of(server, "east") is State.WARM and agent.push.in_step)
        assert _codes(agent) == []
        second = await _second(fleet, stack, server.relay.port, token=False)
        await until(lambda: _codes(second) == ["RelayDuplicate"], why="its name is taken")
        contexts = tmp_path / "contexts.yaml"
        agents = f"agents: {{east: 'http://127.0.0.1:{second.admin_port}'}}"
        server_ = f"server: 'http://127.0.0.1:{server.admin_port}'"
        m.write_text(contexts, f"current: f\ncontexts: {{f: {{{server_}, {agents}}}}}\n")
        _, said = await command("check", "--config", str(contexts))
        assert "CHK148 east: " in said
        assert f"belongs to the cluster with uid {agent._folder.uid}" in said


@pytest.mark.fleet
@pytest.mark.redis
@pytest.mark.spec("C-14")
async def test_check_names_no_cause_that_is_over(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        await fleet.make_secrets()
        port = free_port()
        agent = await fleet.start_agent("east", port)
        await until(lambda: _codes(agent) == ["RelayRefused"], why="nobody listens there")
        fleet.write("mgmt", "workspace.yaml", m.workspace())
        server = await fleet.start_server(relay_address=f"127.0.0.1:{port}")
        await until(lambda: _codes(agent) == ["RelayNotRegistered"], why="the server lets it wait")
        fleet.write("mgmt", "east.yaml", m.registered("east"))
        await until(lambda: state_of(server, "east") is State.WARM and agent.push.in_step)
        told = set[str]()
        (fleet.folder("mgmt") / "east.yaml").unlink()
        await until(lambda: _heard(agent, told) >= {"RelayNotRegistered"}, why="it was deregistered")
        assert told == {"RelayNotRegistered"}


def _heard(agent: Agent, told: set[str]) -> set[str]:
    told.update(_codes(agent))
    return told


def _codes(agent: Agent) -> list[str]:
    return [found["code"] for found in agent.findings() if found["code"].startswith("Relay")]


@pytest.mark.fleet
@pytest.mark.redis
async def test_the_status_tells_until_when_the_certificate_is_good(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        async with fleet.server() as server, fleet.agent("east", server.relay.port):
            found = await until(lambda: _conditions(server, "east").get("ClientCertificateValid"))
            assert (found["status"], found["message"][:6]) == ("True", "until ")
            assert _insecure(fleet) == {"0.0"}
        async with fleet.server(insecure=True):
            assert _insecure(fleet) == {"1.0"}


def _insecure(fleet: Fleet) -> set[str]:
    lines = fleet.telemetry.exposition().decode().splitlines()
    return {line.rpartition(" ")[2] for line in lines if line.startswith("relay_insecure{")}


@pytest.mark.fleet
@pytest.mark.redis
@pytest.mark.spec("M-34", "M-35")
async def test_renewals_in_a_row_keep_a_cluster_connected(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        server = await fleet.start_server(client_certificate_lifetime=20.0)
        ratio = {"client_tls_secret_rotation_grace_period_ratio": 0.99}  # due as soon as it is there
        agent = await fleet.start_agent("east", server.relay.port, **ratio)
        await until(lambda: state_of(server, "east") is State.WARM and agent.push.in_step)
        seen: set[State | None] = set()
        longest, warm_at, first = 0.0, time.monotonic(), agent.link.connections

        def renewed() -> bool:
            nonlocal longest, warm_at
            state = state_of(server, "east")
            seen.add(state)
            if state is State.WARM:
                warm_at = time.monotonic()
            longest = max(longest, time.monotonic() - warm_at)
            return agent.link.connections >= first + 5

        await until(renewed, 60)
        await until(lambda: state_of(server, "east") is State.WARM)
        assert seen <= {State.WARM, State.SYNCING}
        assert longest < 5
        fleet.write("east", "more.yaml", *m.service("east", "more", ["127.0.0.1"]))
        await until(lambda: ("shop", "more") in server.ingest.keys("east", "core/Service"), why="facts go on")
