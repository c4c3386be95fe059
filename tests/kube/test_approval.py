"""An agent of unknown name waits until a person accepts it, with a real API server as management cluster (M-27)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from fingerpost.cluster.kubernetes.cluster import kubernetes_cluster
from fingerpost.objects import ObjectKey
from fingerpost.relay import pki
from fingerpost.secrets.folder import FolderSecrets
from mgmt.app import Server
from mgmt.ingest.kinds import KUBERNETES_CLUSTER, SESSION
from mgmt.ingest.values import State
from mgmt.store.embedded import embedded_redis
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube.command_line import CommandLine
from tests.kube.kube_client import Object
from tests.kube.kube_fleet import KubeFleet, running_kube_fleet

_SOON = 5.0  # seconds: M-27
_WORLD = [m.workspace(), m.virtual_gateway(), m.virtual_destination("cart")]
# a certificate that is asked for anew all the time, so that a refusal shows at once
_SHORT: dict[str, Any] = {"require_approval": True, "client_certificate_lifetime": 30.0}


def condition(found: Object, kind: str) -> Object:
    return next((c for c in found.get("status", {}).get("conditions", ()) if c["type"] == kind), {})


def approval(found: Object) -> str:
    return str(found.get("status", {}).get("common", {}).get("State", {}).get("approval", ""))


async def _asks(fleet: KubeFleet, accepted: str = "False", timeout: float = _SOON) -> Object:
    found: Object = {}

    async def shown() -> bool:
        answer = await fleet.kubes["mgmt"].http.get(
            f"/apis/admin.gloo.solo.io/v2/namespaces/{m.ADMIN_NAMESPACE}/kubernetesclusters/east"
        )
        found.clear()
        found.update(answer.json() if answer.is_success else {})
        return condition(found, "Accepted").get("status") == accepted

    await until(shown, timeout, why=f"Accepted={accepted}")
    return found


def _nothing_but_hello(server: Server, agent: Agent) -> bool:
    """Neither a fact nor a piece of desired state has gone over the wire."""
    types = set(server.ingest.inputs.types("east")) - {SESSION}
    return (types, agent.push._seq, agent.desired.config_version, agent.pull.connected) == (set(), 0, 0, False)


def _state(server: Server) -> State | None:
    found = server.ingest.states.clusters.get("east")
    return found.state if found else None


@pytest.mark.spec("M-27")
async def test_an_unknown_agent_waits_for_a_person_and_a_rejected_one_is_shut_out(tmp_path: Path) -> None:
    async with embedded_redis(tmp_path / "redis") as redis, running_kube_fleet(tmp_path, "east") as fleet:
        fingerpost = CommandLine(tmp_path, fleet.servers["mgmt"].kubeconfig(), helm=False)
        await fleet.apply("mgmt", *_WORLD, fleet.www("/cart"))
        await fleet.apply("east", *m.gateway("east", fleet.address("east")), *m.service("east", "cart", ["192.0.2.99"]))
        shared = {"redis_url": redis.url, "ca_dir": tmp_path / "ca", **_SHORT}
        leader = await fleet.start_server(**shared, replica="first")
        await until(lambda: leader.ingest.leads, why="the first leads")
        server = await fleet.start_server(**shared, replica="second", state_dir=tmp_path / "second")
        agent = await fleet.start_agent("east", server.relay.port, client_tls_secret_rotation_grace_period_ratio=0.79)
        found = await _asks(fleet)  # written by the leader of what the other replica has asked for
        leaf, *_ = pki.certificates(
            (await FolderSecrets(fleet.secrets("east")).get("relay-client-tls-secret"))["tls.crt"]
        )
        said = condition(found, "Accepted")
        assert said["reason"] == "WaitingForApproval"
        uid = found["metadata"]["annotations"]["relay.gloo.solo.io/cluster-uid"]
        assert f"uid {uid} at ipv4:127.0.0.1:" in said["message"]
        assert "certificate SHA-256 " in said["message"]
        assert uid == await _uid(fleet)
        assert (approval(found), _state(server), _state(leader)) == ("PENDING", State.PENDING, State.PENDING)
        assert _nothing_but_hello(server, agent)
        assert pki.dns_names(leaf) == ("east",)

        accepted = await fingerpost("cluster", "accept", "east")
        assert (accepted.code, "certificate SHA-256" in accepted.out) == (0, True), accepted
        await until(lambda: _state(server) is State.WARM, why="it goes on without a restart")
        await until(lambda: agent.desired.config_version, why="it gets desired state")
        assert approval(await _asks(fleet, "True", 20)) in ("ACCEPTED", "PENDING")
        again = await fingerpost("cluster", "accept", "east", "-o", "json")
        assert (again.code, again.spec["steps"][-1]["result"]) == (0, "same"), again

        rejected = await fingerpost("cluster", "reject", "east")
        assert rejected.code == 0, rejected
        await until(lambda: _state(server) is State.PENDING, why="its facts count no longer")
        await until(lambda: _refused(agent), 30, why="no certificate at renewal")
        assert server.ingest.inputs.types("east") == () or set(server.ingest.inputs.types("east")) <= {SESSION}
        assert approval(await _asks(fleet, "False", 20)) == "FAILED"
        nobody = await fingerpost("cluster", "accept", "north")
        assert (nobody.code, "there is no KubernetesCluster north" in nobody.err) == (1, True), nobody


def _refused(agent: Agent) -> bool:
    finding = getattr(agent.trust, "finding", None)
    return finding is not None and "was rejected" in finding.message


async def _uid(fleet: KubeFleet) -> str:
    answer = await fleet.kubes["east"].http.get("/api/v1/namespaces/kube-system")
    return str(answer.json()["metadata"]["uid"])


async def test_of_several_replicas_one_makes_the_object(tmp_path: Path) -> None:
    async with running_kube_fleet(tmp_path, "east") as fleet:
        kubeconfig, key = fleet._kubeconfig("mgmt"), ObjectKey(KUBERNETES_CLUSTER, "mgmt", m.ADMIN_NAMESPACE, "north")
        async with (
            kubernetes_cluster("mgmt", ["admin.gloo.solo.io/*"], kubeconfig=kubeconfig) as one,
            kubernetes_cluster("mgmt", ["admin.gloo.solo.io/*"], kubeconfig=kubeconfig) as other,
        ):
            await asyncio.gather(one.own(KUBERNETES_CLUSTER), other.own(KUBERNETES_CLUSTER))  # both know what is served
            objects = [
                {"metadata": {"name": "north", "namespace": m.ADMIN_NAMESPACE, "annotations": {"by": by}}, "spec": {}}
                for by in ("one", "other")
            ]
            made = await asyncio.gather(one.create(key, objects[0]), other.create(key, objects[1]))
            assert sorted(made) == [False, True]
            found = await fleet.kubes["mgmt"].get(m.registered("north"))
            assert found["metadata"]["annotations"]["by"] == ("one" if made[0] else "other")
