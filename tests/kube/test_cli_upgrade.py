"""`install` over a release that is there, and what is left when one has gone: API servers without pods."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.kube.api_server import running_api_server
from tests.kube.charts import NAMESPACE
from tests.kube.command_line import CommandLine, both
from tests.kube.kube_client import KubeClient

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
