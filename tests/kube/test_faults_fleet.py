"""Faults that need server, agents and API servers together."""

from __future__ import annotations

import base64
import re
import zlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from fingerpost.secrets.folder import FolderSecrets
from mgmt.ingest.values import State
from tests.conformance.listeners.listener_certificates import issue
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import effective, state_of
from tests.fleet.fleet_network import until
from tests.fleet.test_fleet_doors import _redis_content, _traces
from tests.kube.kube_client import secret
from tests.kube.kube_fleet import KubeFleet, running_kube_fleet
from tests.kube.test_kube_road import _kept
from tests.kube.test_status_arrival import _said

_CLIENT = "relay-client-tls-secret"


async def _conditions(fleet: KubeFleet, cluster: str) -> dict[str, Any]:
    found = await fleet.kubes["mgmt"].get(m.registered(cluster))
    return {c["type"]: c for c in found.get("status", {}).get("conditions", ())}


@pytest.mark.spec("M-24")
async def test_two_clusters_of_one_name_and_how_the_second_takes_over(tmp_path: Path) -> None:
    async with running_kube_fleet(tmp_path) as fleet, AsyncExitStack() as stack:
        await fleet.apply_world()
        server = await fleet.start_server()
        port = server.relay.port
        first = await stack.enter_async_context(fleet.agent("east", port))
        await until(lambda: state_of(server, "east") is State.WARM and first.pull.connected)
        own, twins = FolderSecrets(fleet.secrets("east")), FolderSecrets(fleet.secrets("west"))
        await twins.put(_CLIENT, await own.get(_CLIENT))  # what somebody copies who copies too much

        twin = await fleet.start_agent(
            "east",
            port,
            kubeconfig=fleet.servers["west"].kubeconfig(),
            state_dir=tmp_path / "twin",
            secrets_dir=fleet.secrets("west"),
        )
        conflict = await until(lambda: _conflict(fleet), why="the condition")
        uids = [(await fleet.kubes[c].get(_kube_system()))["metadata"]["uid"] for c in ("east", "west")]
        assert all(uid in conflict for uid in uids)
        said = await until(lambda: _said(fleet, "east", 2), why="an Event of it")
        assert [e["reason"] for e in said] == ["Connected", "Conflict"]
        _nothing_for(twin)
        assert first.pull.connected
        await until(lambda: _is_annotated(fleet, uids[0]), why="the first is the one of this name")

        await stack.aclose()
        assert await _annotation(fleet) == uids[0]
        _nothing_for(twin)
        path = f"/apis/admin.gloo.solo.io/v2/namespaces/{m.ADMIN_NAMESPACE}/kubernetesclusters/east"
        patch = '{"metadata": {"annotations": {"relay.gloo.solo.io/cluster-uid": null}}}'
        merge = {"Content-Type": "application/merge-patch+json"}
        answer = await fleet.kubes["mgmt"].http.patch(path, content=patch, headers=merge)
        assert answer.is_success, answer.text
        await until(lambda: twin.pull.connected and twin.desired.config_version, 30, "the second takes over")
        await until(lambda: _is_annotated(fleet, uids[1]), why="and is the one of this name now")


async def _annotation(fleet: KubeFleet) -> str:
    found = await fleet.kubes["mgmt"].get(m.registered("east"))
    return str(found["metadata"].get("annotations", {}).get("relay.gloo.solo.io/cluster-uid", ""))


async def _is_annotated(fleet: KubeFleet, uid: str) -> bool:
    return await _annotation(fleet) == uid


def _nothing_for(agent: Agent) -> None:
    assert not agent.desired.scopes, "not one byte of what is meant for the first"
    assert (agent.desired.config_version, agent.pull.connected) == (0, False)


def _kube_system() -> m.Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}


async def _conflict(fleet: KubeFleet) -> str:
    found = (await _conditions(fleet, "east")).get("Conflict", {})
    return str(found.get("message", "")) if found.get("status") == "True" else ""


@pytest.mark.spec("M-6")
async def test_a_secret_is_in_nothing_that_is_kept_or_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tls = issue(m.HOST, issue("ca"))
    password = "canary-1f2e9c55-password-that-nobody-else-has"
    async with running_kube_fleet(tmp_path, "east") as fleet:
        await fleet.apply_world()
        listener = {"http": {}, "port": {"number": 443}, "tls": {"mode": "SIMPLE", "secretName": "www-tls"}}
        www = m.table("secure", [m.says("/door", "secure")], host=m.HOST, edge=("edge-tls", "gw"))
        await fleet.apply("mgmt", m.virtual_gateway("edge-tls", "gw", [listener]), www)
        files = {"tls.crt": tls.pem.decode(), "tls.key": tls.key_pem.decode()}
        server = await fleet.start_server(verbose=True)
        agent = await fleet.start_agent("east", server.relay.port, verbose=True)
        await fleet.kubes["east"].apply(secret("gw", "www-tls", **files), secret("gw", "other", password=password))
        await until(lambda: _read(agent), why="the Secret is read")
        await until(lambda: _kept(fleet, agent), why="what is served is kept in the cluster")
        said = capfd.readouterr()
        places = {
            "log": (said.out + said.err).encode(),
            "redis": await _redis_content(tmp_path / "mgmt" / "redis" / "redis.sock"),
            **{
                f"{cluster} {path}": (await fleet.kubes[cluster].http.get(path)).content
                for cluster in ("mgmt", "east")
                for path in ("/apis/internal.gloo.solo.io/v2/xdsconfigs", "/apis/events.k8s.io/v1/events")
            },
            **{
                path: (await fleet.client.text(server.admin_port, path)).encode()
                for path in ("/snapshots/input", "/snapshots/output", "/metrics")
            },
            "agent": (await fleet.client.text(agent.admin_port, "/gateways")).encode(),
        }
        for path in (tmp_path / "agent-east", tmp_path / "mgmt"):
            places |= {str(p): p.read_bytes() for p in path.rglob("*") if p.is_file()}
        packed = re.findall(rb'"compressedData":"([^"]+)"', places["east /apis/internal.gloo.solo.io/v2/xdsconfigs"])
        places["XdsConfigs"] = b"".join(zlib.decompress(base64.b64decode(part)) for part in packed)
        for place in ("XdsConfigs", "/snapshots/output"):
            assert b"www-tls" in places[place], f"{place} was not read"
        assert b"agent.ready" in places["log"]
        traces = list(_traces([tls.key_pem, password.encode()]))
        assert [(place, trace) for place, content in places.items() for trace in traces if trace in content] == []


async def _read(agent: Agent) -> bool:
    return bool(effective(agent)) and await agent._folder.read_secret("gw", "www-tls") is not None  # type: ignore[attr-defined]
