"""`install` on an empty cluster, and `uninstall`, with the pods run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.fleet import fleet_manifests as m
from tests.kube.charts import NAMESPACE
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.command_line import CommandLine
from tests.kube.kube_client import namespace
from tests.kube.release import pods

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
INSTALL = ("install", "--profiles", "gloo-mesh-single", "--set", "common.cluster=c1")


class Alone(NamedTuple):
    cluster: Cluster
    fingerpost: CommandLine


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Alone]:
    folder = tmp_path_factory.mktemp("alone")
    async with running_cluster("c1", folder / "c1") as cluster:
        yield Alone(cluster, CommandLine(folder, cluster.server.kubeconfig()))


async def test_a_dry_run_prints_manifests_and_changes_nothing(alone: Alone) -> None:
    result = await alone.fingerpost(*INSTALL, "--dry-run")
    assert (result.code, "kind: CustomResourceDefinition" in result.out) == (0, True), result.err
    assert "name: gloo-mesh-mgmt-server" in result.out
    assert (await alone.cluster.kube.http.get(f"/api/v1/namespaces/{NAMESPACE}")).status_code == 404


@pytest.mark.spec("C-34")
async def test_one_command_makes_a_system_whose_check_is_good(alone: Alone) -> None:
    result = await alone.fingerpost(*INSTALL)
    assert (result.code, "all Deployments are ready" in result.out) == (0, True), result
    accepted = await alone.fingerpost("wait", "kubernetescluster", f"{NAMESPACE}/c1", "--for", "accepted")
    assert accepted.code == 0, accepted
    check = await alone.fingerpost("check")
    assert check.code == 0, check.out
    before = {pod["metadata"]["uid"] for pod in await pods(alone.cluster, NAMESPACE, "gloo-mesh-mgmt-server")}
    again = await alone.fingerpost(*INSTALL, "-o", "json")
    assert again.code == 0, again
    assert {step["result"] for step in again.spec["steps"][:2]} == {"same"}
    assert {pod["metadata"]["uid"] for pod in await pods(alone.cluster, NAMESPACE, "gloo-mesh-mgmt-server")} == before


async def test_values_that_the_chart_refuses_are_told_by_the_flag_that_brought_them(alone: Alone) -> None:
    result = await alone.fingerpost(*INSTALL, "--set", "glooMgmtServer.enabeld=true")
    said = "--set \"glooMgmtServer.enabeld=true\": at '/glooMgmtServer': additional properties 'enabeld' not allowed"
    assert (result.code, said in result.err) == (2, True), result


@pytest.mark.spec("C-39", "C-5")
async def test_an_uninstall_asks_and_leaves_what_is_the_users(alone: Alone) -> None:
    """Last here."""
    table = m.table("www", [m.says("/hi", "hi")], host=m.HOST)
    await alone.cluster.kube.apply(namespace("shop"), table)
    refused = await alone.fingerpost("uninstall")
    assert (refused.code, "repeat it with --yes" in refused.err) == (7, True), refused
    lossy = await alone.fingerpost("uninstall", "--include-crds")
    assert lossy.code == 7, lossy
    assert "3 objects of users will be lost" in lossy.err
    assert len(await pods(alone.cluster, NAMESPACE, "gloo-mesh-mgmt-server")) == 1
    gone = await alone.fingerpost("uninstall", "--yes")
    assert gone.code == 0, gone
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/gloo-mesh-mgmt-server"
    assert (await alone.cluster.kube.http.get(path)).status_code == 404
    assert (await alone.cluster.kube.get(table))["spec"]["hosts"] == [m.HOST]
    again = await alone.fingerpost("uninstall", "--yes")
    assert (again.code, "there is no release gloo-platform" in again.err) == (1, True), again
    all_gone = await alone.fingerpost("uninstall", "--include-crds", "--yes")
    assert (all_gone.code, "gloo-platform-crds uninstalled" in all_gone.out) == (0, True), all_gone
