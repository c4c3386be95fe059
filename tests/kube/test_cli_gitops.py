"""A registration by manifests alone, and a workload cluster that was rebuilt. The charts' pods run."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import yaml

from ctl.kube.accepted import status_of
from fingerpost.api.admin.kubernetes_cluster import CLUSTER_UID, is_accepted
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube.charts import NAMESPACE
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.command_line import CommandLine, both
from tests.kube.kube_client import Object
from tests.kube.release import install_release, secret_data

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
VALUES: dict[str, Any] = {
    "common": {"cluster": "mgmt", "imageRegistry": "registry.test"},
    "glooMgmtServer": {"enabled": True, "createGlobalWorkspace": True},
}
PRINT = ("cluster", "register", "west", "--kubecontext", "mgmt", "--print-manifests")
TOKEN = "relay-identity-token-secret"


class Hub(NamedTuple):
    folder: Path
    management: Cluster
    alone: CommandLine
    """Knows the management cluster only."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    async with running_cluster("mgmt", folder / "mgmt", 0) as management:
        await install_release(management, VALUES)
        yield Hub(folder, management, CommandLine(folder, management.server.kubeconfig()))


async def apply(cluster: Cluster, text: str) -> None:
    """What `kubectl apply --server-side -f -` does: in the order of the text."""
    for obj in yaml.load_all(text, yaml.CSafeLoader):
        if obj is not None:
            await cluster.kube.apply(obj)


def forms(secret: bytes) -> tuple[str, str]:
    return secret.decode(), base64.b64encode(secret).decode()


async def uid_of(hub: Hub, name: str) -> str:
    found: Object = await hub.management.kube.get(m.registered(name))
    return str(found["metadata"]["annotations"][CLUSTER_UID])


@pytest.mark.spec("C-20", "M-22")
async def test_printed_manifests_applied_on_both_sides_are_a_registration(hub: Hub) -> None:
    token = (await secret_data(hub.management, NAMESPACE, TOKEN))["token"]
    keys = [
        value
        for name in ("relay-root-tls-secret", "relay-server-tls-secret", "relay-tls-signing-secret")
        for key, value in (await secret_data(hub.management, NAMESPACE, name)).items()
        if key == "tls.key"
    ]
    assert len(keys) == 3
    printed = {side: await hub.alone(*PRINT, "--side", side, "-v") for side in ("mgmt", "agent")}
    for side, result in printed.items():
        assert result.code == 0, result
        for secret in (token, *keys):
            for form in forms(secret):
                assert form not in result.out + result.err, side
    assert "kubectl --context mgmt -n gloo-mesh get secret relay-identity-token-secret" in printed["agent"].err
    left = await hub.management.kube.http.get("/apis/admin.gloo.solo.io/v2/kubernetesclusters")
    assert left.json()["items"] == []
    whole = await hub.alone(*PRINT, "--include-secrets", "-o", "json")
    manifests = json.loads(whole.out)["spec"]["manifests"]
    assert manifests["mgmt"] + "\n" == printed["mgmt"].out
    assert forms(token)[1] in manifests["agent"]
    async with running_cluster("west", hub.folder / "west", 1) as west:
        await apply(west, printed["agent"].out)
        await apply(hub.management, printed["mgmt"].out)

        async def accepted() -> bool:
            return is_accepted(status_of(await hub.management.kube.get(m.registered("west"))))

        there = CommandLine(hub.folder, west.server.kubeconfig())

        async def lacks_the_token() -> bool:
            return f"secret {TOKEN} has no token" in (await there("check", "agent")).out

        await until(lacks_the_token, 60, "the agent says what it lacks")
        assert not await accepted()
        (given,) = [one for one in yaml.load_all(manifests["agent"], yaml.CSafeLoader) if is_token(one)]
        await west.kube.apply(given)  # what the note says to do by hand
        await until(accepted, 60, "the agent is in")

        async def only_reminded() -> bool:
            said = await there("check", "agent")
            return said.code == 0 and "CHK122 west: Secret gloo-mesh/relay-identity-token-secret" in said.out

        await until(only_reminded, 30, "check finds all well but for the token that is left")
        await west.kube.delete(given)
        assert "CHK122" not in (await there("check", "agent")).out
        kubeconfig = both(hub.folder, hub.management.server.kubeconfig(), west.server.kubeconfig())
        register = ("cluster", "register", "west", "--kubecontext", "mgmt", "--remote-context", "west")
        refused = await CommandLine(hub.folder, kubeconfig)(*register)
        assert (refused.code, "invalid ownership metadata" in refused.err) == (1, True), refused  # whose it is stays


def is_token(obj: Object | None) -> bool:
    return obj is not None and obj["metadata"]["name"] == TOKEN


async def test_wrong_orders_are_refused(hub: Hub) -> None:
    for arguments, words in (
        ((*PRINT, "--side", "both"), '--side is "both"'),
        ((*PRINT[:-1], "--side", "agent"), "--side needs --print-manifests"),
        ((*PRINT, "--rebind"), "--remote-context is missing"),
        (("cluster", "register", "we_st", "--print-manifests"), "the name of the cluster is"),
    ):
        result = await hub.alone(*arguments)
        assert (result.code, words in result.err) == (2, True), result


@pytest.mark.spec("M-24")
async def test_a_rebuilt_cluster_is_admitted_when_a_person_says_so(hub: Hub) -> None:
    register = ("cluster", "register", "north", "--kubecontext", "mgmt", "--remote-context", "north")
    for attempt in ("first", "rebuilt"):
        async with running_cluster("north", hub.folder / attempt, 2) as north:
            fingerpost = CommandLine(
                hub.folder, both(hub.folder, hub.management.server.kubeconfig(), north.server.kubeconfig())
            )
            if attempt == "rebuilt":
                before = await uid_of(hub, "north")
                refused = await fingerpost(*register)
                assert refused.code == 7, refused
                assert f"the name north belongs to the cluster with uid {before}" in refused.err
                assert "--rebind if that cluster was rebuilt" in refused.err
                assert await uid_of(hub, "north") == before
            result = await fingerpost(*register, *(("--rebind",) if attempt == "rebuilt" else ()))
            assert result.code == 0, result
            own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}
            assert await uid_of(hub, "north") == (await north.kube.get(own))["metadata"]["uid"]
