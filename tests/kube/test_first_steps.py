"""docs/first-steps-kubernetes.md: its commands and its manifests, as they stand there, between two clusters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
import yaml

from mgmt.authority import SECRET
from tests.fleet.fleet_network import Client, until
from tests.kube.charts import NAMESPACE
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.command_line import CommandLine, both
from tests.kube.istio_pods import ENVIRONMENT, MESH, Mesh, istio_pod, root_of
from tests.kube.istiod import install_crds, running_istiod
from tests.kube.kube_client import Object
from tests.kube.release import load_balancer, ready, said
from tests.kube.shell import Shell, commands
from tests.kube.workload_certificates import serving

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
PAGE = "first-steps-kubernetes.md"
FOLDER = Path(__file__).parents[2] / "docs" / "first-steps-kubernetes"
HOST, HELLO = "www.first.example", "hello from east\n"


class Pair(NamedTuple):
    management: Cluster
    east: Cluster
    shell: Shell


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """Two empty clusters; in `east` are Istio's kinds, for the second test."""
    folder = tmp_path_factory.mktemp("pair")
    async with (
        running_cluster("mgmt", folder / "mgmt", 0) as management,
        running_cluster("east", folder / "east", 1) as east,
    ):
        await install_crds(east.kube)
        kubeconfig = both(folder, management.server.kubeconfig(), east.server.kubeconfig())
        yield Pair(management, east, Shell(CommandLine(folder, kubeconfig).environment, folder))


async def test_the_commands_of_the_page_end_in_an_answer(pair: Pair) -> None:
    told = ""
    for heading in (
        "## 1. The management cluster",
        "## 2. The workload cluster",
        "### A plain Envoy",
        "## 4. Something to route to, and a route",
        "## 5. Ask",
    ):
        for block in commands(PAGE, heading):
            result = await pair.shell(block)
            print(result.text)
            assert result.code == 0, f"{block}{result.text}\n{await said(pair.east, 'gw', 'ingress')}"
            told = result.text
    assert HELLO in told


async def test_a_gateway_of_istio_takes_its_place(pair: Pair) -> None:
    """After the test above. What Istio's webhook fills in is filled in here: `image: auto` of a labelled pod."""
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ingress", "namespace": "gw"}}
    await pair.east.kube.delete(deployment)
    node = pair.east.ground.node
    identity = "spiffe://cluster.local/ns/gw/sa/ingress"
    async with (
        running_istiod(
            pair.east.server, pair.east.kube, "east", environment=ENVIRONMENT, mesh=MESH, address=node
        ) as istiod,
        serving(identity, await root_of(pair.management, NAMESPACE, SECRET), node) as certificates,
    ):
        for obj in yaml.safe_load_all((FOLDER / "istio" / "gateway.yaml").read_text()):
            filled = filled_in(obj, Mesh(istiod, certificates, "")) if obj["kind"] == "Deployment" else [obj]
            await pair.east.kube.apply(*filled)
        await ready(pair.east, "gw", "ingress")
        address = await load_balancer(pair.east, "gw", "ingress")
        client = Client()
        last: list[object] = []

        async def answered() -> bool:
            last[:] = [await client.get(address, "/", HOST, port=80)]
            return getattr(last[0], "text", "") == HELLO

        try:
            await until(answered, 30, lambda: f"{last} {istiod.said()[-2000:]}")
        finally:
            await client.close()


def filled_in(deployment: Object, mesh: Mesh) -> list[Object]:
    """With all else as the file has it."""
    template = deployment["spec"]["template"]
    assert [(one["name"], one["image"]) for one in template["spec"]["containers"]] == [("istio-proxy", "auto")]
    assert template["metadata"]["annotations"] == {"inject.istio.io/templates": "gateway"}
    assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == "true"
    account = template["spec"]["serviceAccountName"]
    config, template["spec"] = istio_pod(mesh, "gw", "ingress", template["metadata"]["labels"], account)
    return [config, deployment]
