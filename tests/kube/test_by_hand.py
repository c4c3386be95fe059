"""What a person types who registers a cluster, or brings certificates, without the command line: the commands of
docs/install.md and docs/certificates.md, as they stand there.
"""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import yaml

from mgmt.relay.secrets import Plan
from tests.fleet.fleet_network import until
from tests.fleet.fleet_processes import ROOT
from tests.kube.api_server import running_api_server
from tests.kube.charts import NAMESPACE
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.command_line import CommandLine, both
from tests.kube.kube_client import KubeClient, Object, namespace
from tests.kube.release import ROOT_SECRET, TOKEN_SECRET, ready, relay_address, secret_at, secret_data
from tests.kube.shell import Shell, commands
from tests.unit.relay.tls_support import CLIENT, SERVER, Client, Server

_VALUES = re.compile(r"^```yaml\n# (\w+\.yaml)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def values(name: str) -> Object:
    found = dict(_VALUES.findall((ROOT / "docs" / "install.md").read_text()))
    given: Object = yaml.safe_load(found[name])
    return given


async def secrets(cluster: Cluster) -> dict[str, dict[str, bytes]]:
    return {name: await secret_data(cluster, NAMESPACE, name) for name in (ROOT_SECRET, TOKEN_SECRET)}


@pytest.mark.timeout(240)
async def test_a_cluster_is_registered_by_hand(tmp_path: Path) -> None:
    """The charts are found in the folder where the person stands, beside the values."""
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    (tmp_path / "management.yaml").write_text(yaml.safe_dump(values("management.yaml")))
    async with running_cluster("hub", tmp_path / "hub", 0) as hub, running_cluster("fra2", tmp_path / "fra2", 1) as fra:
        kubeconfig = both(tmp_path, hub.server.kubeconfig(), fra.server.kubeconfig())
        shell = Shell(CommandLine(tmp_path, kubeconfig).environment, tmp_path)
        (install,) = commands("install.md", "## The management cluster")
        done = await shell(install, tmp_path)
        assert done.code == 0, done.text
        await ready(hub, NAMESPACE, "gloo-mesh-mgmt-server")
        workload = values("workload.yaml")
        workload["glooAgent"]["relay"]["serverAddress"] = await relay_address(hub)
        (tmp_path / "workload.yaml").write_text(yaml.safe_dump(workload))
        copy, install = commands("install.md", "## A workload cluster")
        done = await shell(copy, tmp_path)
        assert done.code == 0, done.text
        given, kept = await secrets(fra), await secrets(hub)
        assert given == {ROOT_SECRET: {"ca.crt": kept[ROOT_SECRET]["ca.crt"]}, TOKEN_SECRET: kept[TOKEN_SECRET]}
        done = await shell(install, tmp_path)
        assert done.code == 0, done.text
        assert (await secrets(fra))[TOKEN_SECRET] == {}, "it is not needed any more"
        assert set(await secret_data(fra, NAMESPACE, CLIENT)) == {"tls.crt", "tls.key", "ca.crt"}


async def test_certificates_are_brought_by_hand(tmp_path: Path) -> None:
    """Made by openssl, kept at real API servers; a server and an agent that make nothing connect with them."""
    async with AsyncExitStack() as stack:
        kubes: dict[str, KubeClient] = {}
        kubeconfigs = []
        for name in ("mgmt", "east"):
            server = await stack.enter_async_context(running_api_server(name, tmp_path / "servers" / name))
            kubes[name] = await stack.enter_async_context(KubeClient(server))
            await kubes[name].apply(namespace(NAMESPACE))
            kubeconfigs.append(server.kubeconfig())
        shell = Shell(CommandLine(tmp_path, both(tmp_path, *kubeconfigs)).environment, tmp_path)
        for block in commands("certificates.md", "## Bringing certificates with OpenSSL"):
            done = await shell(block, tmp_path)
            assert done.code == 0, done.text
        plan = Plan(disable_ca=True, disable_ca_cert_generation=True, disable_token_generation=True)
        relay = Server(tmp_path / "mgmt", plan)
        for name in (ROOT_SECRET, SERVER):
            await relay.secrets.put(name, await secret_at(kubes["mgmt"], NAMESPACE, name))
        async with relay.running():
            client = Client(tmp_path / "east", relay)
            for name in (ROOT_SECRET, CLIENT):
                await client.secrets.put(name, await secret_at(kubes["east"], NAMESPACE, name))
            async with client.running():
                await until(lambda: client.connected and relay.connected(), 10, lambda: client.agent.losses)
