"""`install` over a release that is there, and what is left when one has gone: API servers without pods."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.kube.api_server import running_api_server
from tests.kube.charts import NAMESPACE
from tests.kube.command_line import CommandLine, both
from tests.kube.kube_client import KubeClient, namespace, secret

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
ON = ("--kubecontext", "mgmt")
INSTALL = ("install", *ON, "--no-wait")
SERVER = (*INSTALL, "--profiles", "mgmt-server", "--cluster-name", "mgmt")
FULL = ("--set", "glooMgmtServer.createGlobalWorkspace=true", "--set", "glooMgmtServer.agents[0].name=east")
_ADMIN = f"/apis/admin.gloo.solo.io/v2/namespaces/{NAMESPACE}"


class Hub(NamedTuple):
    mgmt: KubeClient
    east: KubeClient
    fingerpost: CommandLine


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """A management server in one of two clusters, with a Workspace and a cluster to come."""
    folder = tmp_path_factory.mktemp("hub")
    async with (
        running_api_server("mgmt", folder / "mgmt") as mgmt,
        running_api_server("east", folder / "east") as east,
        KubeClient(mgmt) as management,
        KubeClient(east) as workload,
    ):
        fingerpost = CommandLine(folder, both(folder, mgmt.kubeconfig(), east.kubeconfig()))
        installed = await fingerpost(*SERVER, *FULL)
        assert installed.code == 0, installed
        yield Hub(management, workload, fingerpost)


async def names(kube: KubeClient, path: str) -> set[str]:
    answer = await kube.http.get(path)
    return {obj["metadata"]["name"] for obj in answer.json().get("items", ())} if answer.is_success else set()


async def deployments(kube: KubeClient) -> set[str]:
    return await names(kube, f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments")


async def revisions(kube: KubeClient) -> set[str]:
    return await names(kube, f"/api/v1/namespaces/{NAMESPACE}/secrets?labelSelector=owner%3Dhelm")


@pytest.mark.spec("C-5")
@pytest.mark.parametrize(
    ("arguments", "lost"),
    [
        (
            (*INSTALL, "--profiles", "agent", "--cluster-name", "mgmt", "--set", "glooAgent.relay.serverAddress=a:1"),
            [
                f"Deployment {NAMESPACE}/gloo-mesh-mgmt-server",
                f"Deployment {NAMESPACE}/gloo-mesh-redis",
                f"Workspace {NAMESPACE}/global",
                f"KubernetesCluster {NAMESPACE}/east",
            ],
        ),
        ((*SERVER[:-1], "other", *FULL), ["common.cluster changes from mgmt to other"]),
        ((*SERVER, *FULL[:2]), [f"KubernetesCluster {NAMESPACE}/east"]),
        (SERVER, [f"Workspace {NAMESPACE}/global", f"KubernetesCluster {NAMESPACE}/east"]),
    ],
    ids=["component", "cluster", "registered", "workspace"],
)
async def test_an_install_that_takes_something_away_is_refused(
    hub: Hub, arguments: tuple[str, ...], lost: list[str]
) -> None:
    before = await revisions(hub.mgmt)
    result = await hub.fingerpost(*arguments)
    assert (result.code, "nothing was changed" in result.err, "--yes" in result.err) == (7, True, True), result
    for one in lost:
        assert one in result.err, result
    assert f"helm get values gloo-platform -n {NAMESPACE}" in result.err
    assert await revisions(hub.mgmt) == before


async def test_a_refusal_looks_at_what_stands_not_at_what_was_broken_off(hub: Hub) -> None:
    """An upgrade that failed is the newest of the release, and not what would be taken away from."""
    arguments = ("install", *ON, "--no-wait", "--profiles", "agent", "--cluster-name", "mgmt", "--yes")
    given = ("--set", "glooAgent.relay.serverAddress=a:1")
    before = await revisions(hub.mgmt)
    failed = await hub.fingerpost(
        *arguments, *given, "--set", "glooAgent.deploymentOverrides.spec.template.spec.restartPolicy=Never"
    )
    assert (failed.code, len(await revisions(hub.mgmt) - before)) == (1, 1), failed
    result = await hub.fingerpost(*arguments[:-1], *given)
    assert (result.code, f"Deployment {NAMESPACE}/gloo-mesh-mgmt-server" in result.err) == (7, True), result
    healed = await hub.fingerpost(*SERVER, *FULL)
    assert healed.code == 0, healed


async def test_with_yes_and_with_more_it_goes_on(hub: Hub) -> None:
    """After the tests above."""
    more = await hub.fingerpost(*SERVER, *FULL, "--set", "glooMgmtServer.agents[1].name=west")
    assert more.code == 0, more
    less = await hub.fingerpost(*SERVER, *FULL, "--yes")
    assert less.code == 0, less
    assert await names(hub.mgmt, f"{_ADMIN}/kubernetesclusters") == {"east"}


async def test_an_agent_beside_the_server_keeps_what_the_release_is_given(hub: Hub) -> None:
    hint = await hub.fingerpost("cluster", "register", "mgmt", *ON, "--remote-context", "mgmt")
    assert (hint.code, "fingerpost install --register --kubecontext mgmt" in hint.err) == (2, True), hint
    dry = await hub.fingerpost("install", *ON, "--register", "--dry-run")
    assert (dry.code, "name: gloo-mesh-mgmt-server" in dry.out) == (0, True), dry
    short = await hub.fingerpost("install", *ON, "--register", "--dry-run", "-o", "name")
    assert "deployment/gloo-mesh-mgmt-server" in short.out.splitlines(), short
    assert await deployments(hub.mgmt) == {"gloo-mesh-mgmt-server", "gloo-mesh-redis"}
    result = await hub.fingerpost(*INSTALL, "--register")
    assert result.code == 0, result
    assert await deployments(hub.mgmt) == {"gloo-mesh-agent", "gloo-mesh-mgmt-server", "gloo-mesh-redis"}
    assert await names(hub.mgmt, f"{_ADMIN}/kubernetesclusters") == {"east", "mgmt"}
    assert await names(hub.mgmt, f"{_ADMIN}/workspaces") == {"global"}


async def test_an_agent_beside_no_server_is_told_what_to_install(hub: Hub) -> None:
    result = await hub.fingerpost("install", "--kubecontext", "east", "--register", "--no-wait")
    said = f"there is no release gloo-platform in namespace {NAMESPACE} of context east"
    assert (result.code, said in result.err) == (2, True), result
    assert "fingerpost install --profiles mgmt-server --register --cluster-name NAME" in result.err
    assert (await hub.east.http.get(f"/api/v1/namespaces/{NAMESPACE}")).status_code == 404


async def test_a_cluster_without_an_agent_is_told_how_it_gets_one(hub: Hub) -> None:
    result = await hub.fingerpost("check", "agent", "--kubecontext", "east", "-o", "json")
    hints = {found["code"]: found["hint"] for found in result.document["findings"]}
    assert "fingerpost cluster register NAME" in hints["CHK047"], result
    assert "fingerpost cluster register NAME" in hints["CHK021"]


async def test_the_current_context_is_named_and_not_its_file(hub: Hub) -> None:
    result = await hub.fingerpost("uninstall", "--release-name", "gloo-platform", "--dry-run")
    assert (result.code, "context mgmt: " in result.out) == (0, True), result


def plain(kubeconfig: str) -> str:
    path = Path(kubeconfig).with_name("plain")
    path.write_text(Path(kubeconfig).read_text().replace("https://", "http://"))
    return str(path)


async def test_plain_http_to_an_api_server_is_told_with_a_remedy(hub: Hub) -> None:
    result = await hub.fingerpost("cluster", "list", "--kubeconfig", plain(hub.fingerpost.environment["KUBECONFIG"]))
    assert (result.code, "hint: write https:// for the server" in result.err) == (2, True), result


async def test_a_release_that_is_not_there_is_told_with_those_that_are(hub: Hub) -> None:
    """At once, though the pods of the other one run, and nothing of that one is taken."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server", "namespace": NAMESPACE, "labels": {"app": "gloo-mesh-mgmt-server"}},
        "spec": {"serviceAccountName": "gloo-mesh-mgmt-server", "containers": [{"name": "c", "image": "none"}]},
    }
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
    made = await hub.mgmt.http.post(leases, json={"metadata": {"name": "gloo-mesh-mgmt-server"}})
    assert made.is_success, made.text
    await hub.mgmt.apply(pod)
    for more in (("--yes",), ("--dry-run",), ("--include-crds", "--yes")):
        began = time.monotonic()
        result = await hub.fingerpost("uninstall", *ON, "--release-name", "typo", *more)
        assert (result.code, f"there is no release typo in namespace {NAMESPACE}" in result.err) == (1, True), result
        assert "gloo-platform, gloo-platform-crds" in result.err
        assert time.monotonic() - began < 20, "it waited for pods of another release"
    assert await names(hub.mgmt, leases) == {"gloo-mesh-mgmt-server"}
    empty = await hub.fingerpost("uninstall", "--kubecontext", "east", "--yes")
    assert (empty.code, "no release is in this namespace" in empty.err) == (1, True), empty
    await hub.mgmt.http.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/server?gracePeriodSeconds=0")


async def test_a_cluster_is_deregistered_after_its_server_has_gone(hub: Hub) -> None:
    """Last here. The other order is the better one, and the question says so."""
    order = ("cluster", "deregister", "east", *ON, "--remote-context", "east")
    asked = await hub.fingerpost("uninstall", *ON)
    assert (asked.code, "fingerpost cluster deregister" in asked.err) == (7, True), asked
    token = secret(NAMESPACE, "relay-identity-token-east", token="canary")
    token["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "fingerpost-cli"}
    root = secret(NAMESPACE, "relay-root-tls-secret", **{"ca.crt": "the root"})
    root["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "fingerpost-cli"}
    east = {"apiVersion": "admin.gloo.solo.io/v2", "kind": "KubernetesCluster"}
    await hub.mgmt.apply(token)
    await hub.east.apply(namespace(NAMESPACE), root)
    gone = await hub.fingerpost("uninstall", *ON, "--yes")
    assert gone.code == 0, gone
    nobody = await hub.fingerpost(*order)
    assert (nobody.code, "--force" in nobody.err) == (3, True), nobody
    assert await names(hub.east, f"/api/v1/namespaces/{NAMESPACE}/secrets") == {"relay-root-tls-secret"}
    await hub.mgmt.apply({**east, "metadata": {"name": "east", "namespace": NAMESPACE}, "spec": {}})
    result = await hub.fingerpost(*order)
    assert (result.code, "no management server" in result.out) == (0, True), result
    assert await names(hub.east, f"/api/v1/namespaces/{NAMESPACE}/secrets") == set()
    assert await names(hub.mgmt, f"{_ADMIN}/kubernetesclusters") == set()
    assert "relay-identity-token-east" not in await names(hub.mgmt, f"/api/v1/namespaces/{NAMESPACE}/secrets")
    forced = await hub.fingerpost(*order, "--force")
    assert forced.code == 0, forced
