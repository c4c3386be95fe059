"""`cluster register` and `deregister` between two clusters whose charts' pods run."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.conformance.listeners.listener_certificates import issue
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube.charts import NAMESPACE
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.command_line import CommandLine, both
from tests.kube.kube_client import Object, namespace, where
from tests.kube.release import gateway, install_release, secret_data

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
VALUES: dict[str, Any] = {
    "common": {"cluster": "mgmt", "imageRegistry": "registry.test"},
    "glooMgmtServer": {"enabled": True, "createGlobalWorkspace": True},
}
REGISTER = ("cluster", "register", "east", "--kubecontext", "mgmt", "--remote-context", "east")
TOKEN, CLIENT, ROOT = "relay-identity-token-secret", "relay-client-tls-secret", "relay-root-tls-secret"
GATEWAYS = "gloo-mesh-agent-gateways"


class Road(NamedTuple):
    management: Cluster
    east: Cluster
    fingerpost: CommandLine


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def road(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    folder = tmp_path_factory.mktemp("road")
    async with (
        running_cluster("mgmt", folder / "mgmt", 0) as management,
        running_cluster("east", folder / "east", 1) as east,
    ):
        await install_release(management, VALUES)
        kubeconfig = both(folder, management.server.kubeconfig(), east.server.kubeconfig())
        yield Road(management, east, CommandLine(folder, kubeconfig))


async def versions(cluster: Cluster) -> dict[str, str]:
    """Of all that registering writes; a changed one tells."""
    out = {}
    for path in (
        f"/api/v1/namespaces/{NAMESPACE}/secrets",
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
        f"/apis/admin.gloo.solo.io/v2/namespaces/{NAMESPACE}/kubernetesclusters",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    ):
        answer = await cluster.kube.http.get(path)
        for found in answer.json().get("items", ()):
            meta = found["metadata"]
            out[f"{path}/{meta['name']}"] = str(meta.get("generation") or meta["resourceVersion"])
    return out


def refusals(cluster: Cluster) -> list[str]:
    """What the pods of the release asked for and may not."""
    asked = cluster.server.audited(NAMESPACE)
    return [event["requestURI"] for event in asked if event.get("responseStatus", {}).get("code") in (401, 403)]


async def about_token(cluster: Cluster, name: str) -> set[str]:
    """The kinds of the objects of this name."""
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    paths = (f"/api/v1/namespaces/{NAMESPACE}/secrets", f"{rights}/roles", f"{rights}/rolebindings")
    answers = [(path, await cluster.kube.http.get(f"{path}/{name}")) for path in paths]
    return {path.rpartition("/")[2] for path, answer in answers if answer.is_success}


def labelled(obj: Object) -> dict[str, str]:
    found: dict[str, str] = obj["metadata"].get("labels", {})
    return found


@pytest.mark.spec("C-17", "C-19")
async def test_a_cluster_is_registered_and_a_second_time_nothing_changes(road: Road) -> None:
    began = time.monotonic()
    result = await road.fingerpost(*REGISTER, "--label", "region=eu", "-v")
    print(f"registered in {time.monotonic() - began:.1f} s\n{result.out}")  # 3.8 s with two cores at hand
    assert result.code == 0, result
    assert "agent connected and warm, cluster ACCEPTED" in result.out
    assert labelled(await road.management.kube.get(m.registered("east")))["region"] == "eu"
    assert await secret_data(road.east, NAMESPACE, TOKEN) == {}
    assert set(await secret_data(road.east, NAMESPACE, ROOT)) == {"ca.crt"}
    assert set(await secret_data(road.east, NAMESPACE, CLIENT)) >= {"tls.crt", "tls.key"}
    assert refusals(road.management) == [], "nothing was asked for that the server may not read"
    before = await versions(road.management) | await versions(road.east)
    again = await road.fingerpost(*REGISTER, "--label", "region=eu", "-o", "json")
    assert again.code == 0, again
    assert {**await versions(road.management), **await versions(road.east)} == before


async def test_what_is_missing_is_repaired(road: Road) -> None:
    """After the test above: a person has taken away the agent."""
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/gloo-mesh-agent"
    await road.east.kube.http.delete(path)
    result = await road.fingerpost(*REGISTER)
    assert result.code == 0, result
    assert (await road.east.kube.http.get(path)).is_success
    assert await secret_data(road.east, NAMESPACE, TOKEN) == {}


async def test_with_another_root_an_agent_gets_a_token_too(road: Road) -> None:
    """Its certificate may be of the root before, though the server has not noticed yet that it is gone."""
    other = base64.b64encode(issue("ca").pem).decode()
    root = {"metadata": {"name": ROOT, "namespace": NAMESPACE}, "data": {"ca.crt": other}}
    await road.east.kube.apply({"apiVersion": "v1", "kind": "Secret"} | root)
    result = await road.fingerpost(*REGISTER)
    assert result.code == 0, result
    assert "root CA copied" in result.out
    assert "bootstrap token copied" in result.out
    assert await secret_data(road.east, NAMESPACE, TOKEN) == {}


@pytest.mark.spec("C-5")
async def test_an_agent_that_cannot_come_is_told_with_its_reason(road: Road) -> None:
    broken = ("--set", "common.imageTag=v1", "--set", "glooAgent.image.repository=no-such-image", "--timeout", "4s")
    result = await road.fingerpost(*REGISTER, *broken, "-o", "json")
    assert result.code == 4, result
    found = {finding["code"]: finding["message"] for finding in result.document["findings"]}
    assert "container gloo-mesh-agent CreateContainerConfigError (no image" in found["CHK047"]
    assert "registry.test/no-such-image:v1" in found["CHK047"]
    nowhere = ("--relay-server-address", "192.0.2.77:9900", "--timeout", "8s")
    lost = await road.fingerpost(*REGISTER, *nowhere)
    assert (lost.code, "the server at 192.0.2.77:9900 cannot be reached: Connection refused" in lost.err) == (
        4,
        True,
    ), lost
    told = await road.fingerpost("check", "agent", "--kubecontext", "east")
    assert (told.code, "CHK142 " in told.out) == (1, True), told
    healed = await road.fingerpost(*REGISTER)
    assert healed.code == 0, healed


@pytest.mark.spec("C-23", "M-26")
async def test_a_cluster_is_deregistered_and_what_was_written_there_stays(road: Road) -> None:
    await road.management.kube.apply(
        namespace("gw"), namespace("shop"), m.virtual_gateway(), m.table("www", [m.says("/hi", "hi")], host=m.HOST)
    )
    await road.east.kube.apply(namespace("gw"), *gateway("east"), *foreign())
    await until(lambda: count(road.east, XDS_CONFIGS), 60, "the agent has written what its gateway is to do")
    await until(lambda: secret_data(road.east, NAMESPACE, GATEWAYS), 60, "and the certificate of its gateway")
    order = DEREGISTER
    before = await versions(road.management) | await versions(road.east)
    dry = await road.fingerpost(*order, "--dry-run")
    assert (dry.code, "would" in dry.out) == (0, True)
    assert before == await versions(road.management) | await versions(road.east)
    wrong = await road.fingerpost("cluster", "deregister", "west", *order[3:])
    assert (wrong.code, "is that of cluster east" in wrong.err) == (7, True)
    result = await road.fingerpost(*order)
    assert result.code == 0, result
    for name in (TOKEN, CLIENT, ROOT):
        assert await secret_data(road.east, NAMESPACE, name) == {}
    assert await count(road.east, XDS_CONFIGS) > 0
    assert await secret_data(road.east, NAMESPACE, GATEWAYS) != {}
    await all_there(road.east, foreign())
    left = await road.management.kube.http.get("/apis/admin.gloo.solo.io/v2/kubernetesclusters")
    assert left.json()["items"] == []
    again = await road.fingerpost(*order)
    assert again.code == 0, again


async def test_who_registers_again_need_not_wait_for_the_lease_of_the_agent_before(road: Road) -> None:
    """With its release it loses the right to give it back."""
    began = time.monotonic()
    registered = await road.fingerpost(*REGISTER)
    print(f"registered in {time.monotonic() - began:.1f} s\n{registered.out}")
    assert registered.code == 0, registered
    before = (await road.east.kube.http.get(LEASE)).json()["spec"]["holderIdentity"]
    gone = await road.fingerpost(*DEREGISTER)
    assert (gone.code, "Lease gloo-mesh-agent removed" in gone.out) == (0, True), gone
    assert (await road.east.kube.http.get(LEASE)).status_code == 404
    began = time.monotonic()
    again = await road.fingerpost(*REGISTER)
    print(f"registered again in {time.monotonic() - began:.1f} s\n{again.out}")
    assert again.code == 0, again
    lease = (await road.east.kube.http.get(LEASE)).json()["spec"]
    assert (lease["holderIdentity"] != before, lease["leaseTransitions"]) == (True, 1), "it was never another's"
    gone = await road.fingerpost(*DEREGISTER)
    assert gone.code == 0, gone


@pytest.mark.spec("C-19")
async def test_a_cluster_is_registered_with_a_token_of_its_own(road: Road) -> None:
    """After the tests above, with no cluster registered: now the shared token admits nobody."""
    server = VALUES["glooMgmtServer"] | {"relay": {"requireClusterToken": True}}
    await install_release(road.management, VALUES | {"glooMgmtServer": server})
    own = "relay-identity-token-east"
    kept = await road.fingerpost(*REGISTER, "--keep-token")
    assert kept.code == 0, kept
    given, shared = await secret_data(road.east, NAMESPACE, TOKEN), await secret_data(road.management, NAMESPACE, TOKEN)
    assert given == await secret_data(road.management, NAMESPACE, own) != shared
    assert await about_token(road.management, own) == {"secrets", "roles", "rolebindings"}
    assert refusals(road.management) == []
    again = await road.fingerpost(*REGISTER)
    assert (again.code, f"{own} and the right to read it removed" in again.out) == (0, True), again
    assert await secret_data(road.east, NAMESPACE, TOKEN) == {}
    assert await about_token(road.management, own) == set()
    gone = await road.fingerpost("cluster", "deregister", "east", "--kubecontext", "mgmt", "--remote-context", "east")
    assert gone.code == 0, gone
    assert refusals(road.management) == []


@pytest.mark.spec("C-18")
async def test_a_first_registration_with_a_mistake_is_corrected_by_another(road: Road) -> None:
    """The pod with the mistake leads, and was never let in: the one that is to follow it must become ready."""
    wrong = await road.fingerpost(*REGISTER, "--relay-server-address", "192.0.2.77:9900", "--timeout", "6s")
    assert wrong.code == 4, wrong
    right = await road.fingerpost(*REGISTER)
    assert right.code == 0, right
    gone = await road.fingerpost(*DEREGISTER)
    assert gone.code == 0, gone


@pytest.mark.spec("C-23", "C-5")
async def test_a_purge_leaves_nothing_that_the_system_wrote_and_all_else(road: Road) -> None:
    """After the test above, whose objects are still there."""
    registered = await road.fingerpost(*REGISTER)
    assert registered.code == 0, registered
    await road.east.kube.apply(earlier())
    number = await count(road.east, XDS_CONFIGS) + 1
    before = await versions(road.management) | await versions(road.east)
    dry = await road.fingerpost(*DEREGISTER, "--purge", "--dry-run")
    assert (dry.code, f"{number} generated objects (1 ConfigMap, {number - 1} XdsConfig)" in dry.out) == (0, True), dry
    refused = await road.fingerpost(*DEREGISTER, "--purge")
    assert (refused.code, f"{number} generated objects will be lost" in refused.err) == (7, True), refused
    nowhere = await road.fingerpost("cluster", "deregister", "east", "--kubecontext", "mgmt", "--force", "--purge")
    assert (nowhere.code, "--purge needs the workload cluster" in nowhere.err) == (2, True), nowhere
    assert before == await versions(road.management) | await versions(road.east)
    result = await road.fingerpost(*DEREGISTER, "--purge", "--yes")
    assert (result.code, f"{number} generated objects removed" in result.out) == (0, True), result
    assert await count(road.east, XDS_CONFIGS) == 0
    assert not await there(road.east, earlier())
    for name in (TOKEN, CLIENT, ROOT, "gloo-mesh-agent-key", GATEWAYS):
        assert await secret_data(road.east, NAMESPACE, name) == {}
    await all_there(road.east, [*foreign(), *gateway("east")])
    assert (await road.management.kube.get(m.virtual_gateway()))["kind"] == "VirtualGateway"


async def test_the_management_server_is_not_taken_away_with_an_agent(road: Road) -> None:
    order = ("cluster", "deregister", "mgmt", "--kubecontext", "mgmt", "--remote-context", "mgmt")
    result = await road.fingerpost(*order)
    assert (result.code, "is also that of the management server" in result.err) == (7, True), result


@pytest.mark.spec("C-39")
async def test_kinds_go_only_when_that_was_said(road: Road) -> None:
    """Last here."""
    table = foreign()[0]
    refused = await road.fingerpost(*DEREGISTER, "--no-keep-crds")
    assert (refused.code, "1 object of users with their kinds will be lost" in refused.err) == (7, True), refused
    await all_there(road.east, [table])
    result = await road.fingerpost(*DEREGISTER, "--no-keep-crds", "--yes")
    assert (result.code, "gloo-platform-crds of namespace gloo-mesh uninstalled" in result.out) == (0, True), result

    async def gone() -> bool:
        return not await there(road.east, table)

    await until(gone, 30, "the API server has taken the objects away with their kinds")


DEREGISTER = ("cluster", "deregister", "east", "--kubecontext", "mgmt", "--remote-context", "east")
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/gloo-mesh-agent"
XDS_CONFIGS = f"/apis/internal.gloo.solo.io/v2/namespaces/{NAMESPACE}/xdsconfigs"
_LABELS = {
    "reconciler.mesh.gloo.solo.io/name": "translator",
    "relay.solo.io/cluster": "east",
    "owner.gloo.solo.io/name": NAMESPACE,
}


def foreign() -> list[Object]:
    """A person's own object, and objects that lack one label or bear that of another."""
    table = m.table("mine", [m.says("/", "mine")], host="mine.example")
    table["metadata"]["namespace"] = "default"
    others = [{**_LABELS, label: other} for label, other in (("relay.solo.io/cluster", "west"), OTHER_PLANE)]
    partial = [{k: v for k, v in _LABELS.items() if k != label} for label in _LABELS]
    return [table, *(config_map(f"other-{i}", labels) for i, labels in enumerate([*others, *partial]))]


OTHER_PLANE = ("owner.gloo.solo.io/name", "another-plane")


def earlier() -> Object:
    """Of a kind that only another version of the system wrote."""
    return config_map("earlier", _LABELS)


def config_map(name: str, labels: dict[str, str]) -> Object:
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}


async def count(cluster: Cluster, path: str) -> int:
    return len((await cluster.kube.http.get(path)).json().get("items", ()))


async def there(cluster: Cluster, obj: Object) -> bool:
    return (await cluster.kube.http.get(where(obj))).is_success


async def all_there(cluster: Cluster, objects: list[Object]) -> None:
    for obj in objects:
        assert await there(cluster, obj), obj["metadata"]["name"]
