"""`cluster register` where something is not as it should be, and broken off anywhere: API servers without pods."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from fingerpost.api.admin.kubernetes_cluster import CLUSTER_UID
from fingerpost.api.kinds import KINDS
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_processes import ROOT
from tests.kube.api_server import running_api_server
from tests.kube.charts import NAMESPACE
from tests.kube.command_line import CommandLine, both
from tests.kube.kube_client import KubeClient, Object, namespace, open_crd, secret

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
REGISTER = ("cluster", "register", "east", "--kubecontext", "mgmt", "--remote-context", "east")
ADDRESS = ("--relay-server-address", "198.51.100.7:9900")
CANARY = "canary-of-the-cluster-tests"
SERVER = "gloo-mesh-mgmt-server"
_CLUSTERS = f"/apis/admin.gloo.solo.io/v2/namespaces/{NAMESPACE}/kubernetesclusters"


class Pair(NamedTuple):
    mgmt: KubeClient
    east: KubeClient
    fingerpost: CommandLine
    without_helm: CommandLine


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    async with (
        running_api_server("mgmt", folder / "mgmt") as mgmt,
        running_api_server("east", folder / "east") as east,
        KubeClient(mgmt) as management,
        KubeClient(east) as workload,
    ):
        (kind,) = [k for k in KINDS if k.kind == "KubernetesCluster"]
        await management.install(open_crd(kind.kind, kind.plural, kind.group))
        await management.apply(namespace(NAMESPACE), *server_objects())
        kubeconfig = both(folder, mgmt.kubeconfig(), east.kubeconfig(), _dead(folder))
        (folder / "list.yaml").write_text("- a")
        (folder / "broken.yaml").write_text("a: [")
        (folder / "strange.yaml").write_text("glooAgent: {nonsense: 1}")
        yield Pair(management, workload, CommandLine(folder, kubeconfig), CommandLine(folder, kubeconfig, helm=False))


def _dead(folder: Path) -> Path:
    """A kubeconfig of a cluster at which nobody listens."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dead",
        "clusters": [{"name": "dead", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "dead", "user": {"token": "none"}}],
        "contexts": [{"name": "dead", "context": {"cluster": "dead", "user": "dead"}}],
    }
    path = folder / "dead"
    path.write_text(json.dumps(config))
    return path


def server_objects(kind: str = "LoadBalancer") -> list[Object]:
    labels = {"app": SERVER}
    container = {"name": SERVER, "image": "registry.test/fingerpost-mgmt:v7"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}
    spec["template"]["spec"] = {"containers": [container]}
    metadata = {"name": SERVER, "namespace": NAMESPACE}
    port = {"name": "grpc", "port": 9900}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"type": kind, "ports": [port]}},
        secret(NAMESPACE, "relay-root-tls-secret", **{"ca.crt": "the root", "tls.key": CANARY}),
        secret(NAMESPACE, "relay-identity-token-secret", token=CANARY),
    ]


async def written(kube: KubeClient) -> dict[str, Any]:
    """What `register` writes, without what differs from run to run, and without Helm's own records."""
    out: dict[str, Any] = {}
    for path in (
        f"/api/v1/namespaces/{NAMESPACE}/secrets",
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts",
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
        _CLUSTERS,
    ):
        answer = await kube.http.get(path)
        for obj in answer.json().get("items", ()) if answer.is_success else ():  # there may be no such kind
            if not obj["metadata"]["name"].startswith("sh.helm"):
                labels = obj["metadata"].get("labels")
                out[f"{path}/{obj['metadata']['name']}"] = [labels, obj.get("spec"), obj.get("data")]
    return out


async def everything(kube: KubeClient) -> set[str]:
    """Versions and all of what a registration or an installation could write."""
    out: set[str] = set()
    for path in (
        "/api/v1/namespaces",
        "/api/v1/secrets",
        "/api/v1/serviceaccounts",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/apis/apps/v1/deployments",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/admin.gloo.solo.io/v2/kubernetesclusters",
    ):
        answer = await kube.http.get(path)
        for obj in answer.json().get("items", ()) if answer.is_success else ():  # there may be no such kind
            metadata = obj["metadata"]
            out.add(f"{path}/{metadata.get('namespace', '')}/{metadata['name']} {metadata['resourceVersion']}")
    return out


# What is wrong with the flags of both commands, the exit code and what is said of it.
_WRONG_VALUES = [
    (("--set", "nonsense=1"), 2, "--set \"nonsense=1\": at '': additional properties 'nonsense' not allowed"),
    (("--set", "common.cluster.x"), 2, '--set "common.cluster.x": failed parsing --set data'),
    (("--set", "common.cluster=A_B"), 2, "--set \"common.cluster=A_B\": at '/common/cluster'"),
    (("--set", "glooAgent.relay.serverAddress=b"), 2, '--set "glooAgent.relay.serverAddress=b": '),
    (("--set", "common.insecure=true", "--set", "common.insecure=7"), 2, '--set "common.insecure=7": '),
    (("--chart-values-file", "strange.yaml"), 2, "strange.yaml: at '/glooAgent': additional properties"),
    (("--chart-values-file", "list.yaml"), 2, "list.yaml, which holds no values but a list"),
    (("--chart-values-file", "broken.yaml"), 2, "broken.yaml, which is not YAML: line "),
    (("--chart-values-file", "missing.yaml"), 2, "missing.yaml, which does not exist"),
    (("--chart-values-file", "/"), 2, "--chart-values-file is /, which cannot be read"),
    (("--cluster-domain", "*.local"), 2, '--cluster-domain is "*.local", which is no DNS name'),
    (("--chart-file", "/"), 2, "--chart-file is /, which is no chart"),
    (("--crds-chart-file", "missing"), 2, "--crds-chart-file is missing, and the chart missing does not exist"),
    (("-n", "Bad_One"), 2, 'namespace is "Bad_One", it must be 1 to 63 lower-case letters'),
    (("--kubecontext", "nowhere"), 2, "has no context nowhere"),
    (("--kubecontext", "dead"), 3, "the API server at https://127.0.0.1:1 does not answer"),
]
_WRONG_REGISTRATIONS = [
    (("--remote-context", "nowhere"), 2, "--remote-context: the kubeconfig"),
    (("--remote-context", "dead"), 3, "the API server at https://127.0.0.1:1 does not answer"),
    (("--remote-namespace", "Bad_One"), 2, '--remote-namespace is "Bad_One"'),
    (("--relay-server-address", "nohost"), 2, '--relay-server-address is "nohost", it must be HOST:PORT'),
    (("--relay-server-address", "a:99999"), 2, '--relay-server-address is "a:99999", it must be HOST:PORT'),
    (("--set", "common.cluster=west"), 2, "the agent is that of cluster west, not of east"),
    (("--set", "glooAgent.enabled=false"), 2, "there is no agent, so the cluster would be registered for nobody"),
    (("--label", "a b=c"), 2, '--label is "a b=c"'),
]
_INSTALL = ("install", "--profiles", "agent", "--cluster-name", "east", "--kubecontext", "east")


def _with(command: tuple[str, ...], flags: tuple[str, ...]) -> tuple[str, ...]:
    """A flag that takes one value stands once."""
    if flags[0] not in command or flags[0] == "--set":
        return (*command, *flags)
    at = command.index(flags[0])
    return (*command[:at], *flags, *command[at + 2 :])


_INPUT = [
    *(
        (_with((*REGISTER, *ADDRESS), flags), code, said)
        for flags, code, said in (*_WRONG_VALUES, *_WRONG_REGISTRATIONS)
    ),
    *(
        (_with((*_INSTALL, "--set", "glooAgent.relay.serverAddress=a:1"), flags), code, said)
        for flags, code, said in _WRONG_VALUES
    ),
    (_with(_INSTALL, ("--cluster-name", "Prod_1")), 2, '--cluster-name is "Prod_1", it must be 1 to 63 lower-case'),
    ((*_INSTALL, "--release-name", "A_B"), 2, '--release-name is "A_B", which is no name of a release'),
    (_INSTALL, 2, "glooAgent.relay.serverAddress is empty and no management server is in this release"),
]


@pytest.mark.spec("C-22")
@pytest.mark.parametrize(("arguments", "code", "said"), _INPUT, ids=lambda value: str(value)[:80])
async def test_what_is_wrong_with_flags_is_found_before_anything_is_written(
    pair: Pair, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """In either cluster: their objects are the same before and after, down to the version of each."""
    before = await everything(pair.mgmt), await everything(pair.east)
    folder = pair.fingerpost.environment["HOME"]
    given = [f"{folder}/{one}" if one.endswith(".yaml") else one for one in arguments]
    result = await pair.fingerpost(*given)
    assert (result.code, said in result.err) == (code, True), result
    assert "hint: " in result.err
    assert CANARY not in result.out + result.err
    assert (await everything(pair.mgmt), await everything(pair.east)) == before


@pytest.mark.spec("C-21")
async def test_a_load_balancer_without_an_address_ends_with_advice(pair: Pair) -> None:
    result = await pair.fingerpost(*REGISTER, "--timeout", "1s")
    assert result.code == 4, result
    assert f"the load balancer of Service {NAMESPACE}/{SERVER} has no address after 1s" in result.err
    assert "hint: pass --relay-server-address HOST:PORT" in result.err
    assert await written(pair.east) == {}


async def test_a_dry_run_and_refusals_change_nothing(pair: Pair) -> None:
    before = await written(pair.mgmt)
    for expected, said, arguments in (
        (0, "would install gloo-platform-crds and gloo-platform", (*REGISTER, *ADDRESS, "--dry-run")),
        (2, '--set "nonsense=1": at', (*REGISTER, *ADDRESS, "--dry-run", "--set", "nonsense=1")),
        (2, "is the management cluster itself", (*REGISTER[:-1], "mgmt", *ADDRESS)),
        (3, "no Deployment gloo-mesh-mgmt-server in namespace other", (*REGISTER, *ADDRESS, "-n", "other")),
    ):
        result = await pair.fingerpost(*arguments)
        assert (result.code, said in result.out + result.err) == (expected, True), result
        assert CANARY not in result.out + result.err
    no_helm = await pair.without_helm(*REGISTER, *ADDRESS)
    assert (no_helm.code, "helm is not on the PATH" in no_helm.err) == (2, True), no_helm
    assert await written(pair.mgmt) == before
    assert await written(pair.east) == {}


async def test_an_install_of_nothing_is_refused_before_anything_is_written(pair: Pair) -> None:
    """Of the cluster nothing is even asked: the last one is not there."""
    for arguments in ((), ("--set", "networkPolicies.enabled=true"), ("--dry-run",), ("--kubeconfig", os.devnull)):
        result = await pair.fingerpost("install", "--kubecontext", "east", *arguments)
        assert (result.code, "enable no component" in result.err) == (2, True), result
        assert "--profiles: mgmt-server, agent" in result.err
    assert (await pair.east.http.get(f"/api/v1/namespaces/{NAMESPACE}")).status_code == 404


async def test_a_release_of_nothing_can_be_taken_away(pair: Pair) -> None:
    environment = pair.fingerpost.environment
    path = ROOT / "charts" / "gloo-platform"
    command = ("helm", "install", "gloo-platform", str(path), "-n", NAMESPACE, "--create-namespace")
    helm = await asyncio.create_subprocess_exec(*command, "--kube-context", "east", env=environment)
    assert await helm.wait() == 0
    gone = await pair.fingerpost("uninstall", "--yes", "--kubecontext", "east")
    assert (gone.code, "gloo-platform uninstalled" in gone.out) == (0, True), gone
    assert (await pair.east.http.get(f"/api/v1/namespaces/{NAMESPACE}/secrets")).json()["items"] == []


@pytest.mark.spec("C-5")
async def test_a_name_that_belongs_to_another_cluster_is_refused_unless_it_was_rebuilt(pair: Pair) -> None:
    other = m.registered("east")
    other["metadata"]["annotations"] = {CLUSTER_UID: "another"}
    await pair.mgmt.apply(other)
    result = await pair.fingerpost(*REGISTER, *ADDRESS, "--no-wait")
    assert (result.code, "belongs to the cluster with uid another" in result.err) == (7, True), result
    result = await pair.fingerpost(*REGISTER, *ADDRESS, "--no-wait", "--rebind")
    assert (result.code, f"KubernetesCluster {NAMESPACE}/east changed" in result.out) == (0, True), result
    own = (await pair.east.get({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}))[
        "metadata"
    ]
    assert (await pair.mgmt.get(other))["metadata"]["annotations"] == {CLUSTER_UID: own["uid"]}


@pytest.mark.spec("C-5")
async def test_an_agent_of_another_name_is_not_taken_over(pair: Pair) -> None:
    """After the one above, which registered east."""
    before = await written(pair.mgmt), await written(pair.east)
    for arguments in (("--no-wait",), ("--no-wait", "--rebind"), ("--dry-run",)):
        result = await pair.fingerpost(*REGISTER[:2], "west", *REGISTER[3:], *ADDRESS, *arguments)
        assert (result.code, "of context east is that of cluster east" in result.err) == (7, True), result
        assert "fingerpost cluster deregister east" in result.err
    assert (await written(pair.mgmt), await written(pair.east)) == before


async def test_an_agent_without_pods_is_told(pair: Pair) -> None:
    """After the one above. No value of a Secret is in what is said."""
    await pair.east.delete(secret(NAMESPACE, "relay-identity-token-secret"))
    result = await pair.fingerpost(*REGISTER, *ADDRESS, "--timeout", "1s", "-v")
    assert "bootstrap token copied" in result.out
    for form in (CANARY, base64.b64encode(CANARY.encode()).decode()):
        assert form not in result.out + result.err
    assert (result.code, "agent gloo-mesh-agent: it has no pods" in result.err) == (4, True), result
    assert "repeat the command, which goes on from here" in result.err


@pytest.mark.spec("C-18")
@pytest.mark.parametrize("last", ["relay server", "KubernetesCluster", "bootstrap token", "gloo-platform-crds"])
async def test_one_that_was_broken_off_goes_on_where_it_was(pair: Pair, last: str) -> None:
    once = await pair.fingerpost(*REGISTER, *ADDRESS, "--no-wait")
    assert once.code == 0, once
    wanted = await written(pair.mgmt), await written(pair.east)
    for command in (("cluster", "deregister", *REGISTER[2:]), ("uninstall", "--include-crds", "--yes")):
        context = () if command[0] == "cluster" else ("--kubecontext", "east")
        gone = await pair.fingerpost(*command, *context)
        assert gone.code == 0, gone
    await _broken_off(pair.fingerpost, last)
    again = await pair.fingerpost(*REGISTER, *ADDRESS, "--no-wait")
    assert again.code == 0, again
    assert (await written(pair.mgmt), await written(pair.east)) == wanted


async def _broken_off(fingerpost: CommandLine, last: str) -> None:
    """The command and its Helm are killed once it has said this."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ctl", *REGISTER, *ADDRESS, "--no-wait"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=fingerpost.environment,
        cwd=ROOT,
        start_new_session=True,
    )
    assert process.stdout is not None
    async for line in process.stdout:
        if last in line.decode():
            break
    else:
        raise AssertionError(f"it never said {last!r}")
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
