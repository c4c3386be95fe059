"""What the service accounts of the chart may do on a real API server: what the processes do, and nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from agent.app import TYPES as TYPES_OF_AGENT
from fingerpost.api.kinds import KINDS
from fingerpost.cluster.kubernetes.api import connected
from fingerpost.cluster.kubernetes.cluster import KubernetesCluster, kubernetes_cluster
from fingerpost.cluster.protocol import Batch, ClusterFailed, NotWritten
from fingerpost.objects import ObjectKey
from fingerpost.secrets.kubernetes import KubernetesSecrets
from fingerpost.secrets.protocol import BLOCKLIST, SecretsFailed
from mgmt.ingest.kinds import TYPES_OF_SERVER
from tests.fleet.fleet_network import until
from tests.kube.api_server import ApiServer
from tests.kube.charts import NAMESPACE, Paths, Rendered, values
from tests.kube.kube_client import KubeClient, Object, namespace, open_crd, route_table, secret, service

SERVER, AGENT = "gloo-mesh-mgmt-server", "gloo-mesh-agent"
GROUPS = sorted({kind.group for kind in KINDS if kind.group.endswith(".solo.io")})
INTERNAL = "internal.gloo.solo.io"
TABLE = "networking.gloo.solo.io/RouteTable"
Rules = set[tuple[str, str, str, str]]  # verb, group, resource, name


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer("one", tmp_path_factory.mktemp("rights"))
    server.prepare()
    try:
        asyncio.run(_with_kinds(server))
        yield server
    finally:
        asyncio.run(server.close())


async def _with_kinds(server: ApiServer) -> None:
    await server.start()
    crds = [open_crd(kind.kind, kind.plural, kind.group) for kind in KINDS if kind.group in GROUPS]
    for crd, kind in zip(crds, (k for k in KINDS if k.group in GROUPS), strict=True):
        crd["spec"]["versions"][0]["name"] = kind.version
    async with KubeClient(server) as kube:
        await kube.install(*crds)
        await kube.apply(*(namespace(name) for name in (NAMESPACE, "shop", "gw")))
        await kube.apply(route_table("shop", "www", "a.example"), service("shop", "cart"))
        await kube.apply(secret("gw", "tls", key="x"), secret("shop", "other", key="x"))


@pytest.fixture
async def kube(cluster: ApiServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(cluster) as client:
        yield client


async def _installed(kube: KubeClient, given: dict[str, Any]) -> list[tuple[str, Object]]:
    paths = Paths(kube)
    rights = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    found = [(await paths.of(obj), obj) for obj in Rendered(given).objects if obj["kind"] in rights]
    for _, obj in found:
        answer = await paths.apply(obj)
        assert answer.is_success, answer.text
    return found


@asynccontextmanager
async def account(kube: KubeClient, cluster: ApiServer, given: dict[str, Any], name: str) -> AsyncIterator[Path]:
    """The kubeconfig of a service account that has what the chart gives it, with a token as a pod gets it."""
    found = await _installed(kube, given)
    try:
        where = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{name}/token"
        answer = await kube.http.post(where, json={"spec": {"expirationSeconds": 3600}})
        assert answer.is_success, answer.text
        yield cluster.kubeconfig(name, answer.json()["status"]["token"])
    finally:
        for path, _ in found:
            answer = await kube.http.delete(path)
            assert answer.is_success, answer.text


async def _listing(source: KubernetesCluster) -> Batch:
    """The first complete one."""
    async with asyncio.timeout(20), aclosing(source.watch()) as batches:  # type: ignore[type-var]
        async for batch in batches:
            if batch.listed:
                return batch
    raise AssertionError("the watch ended")


async def _reviewed(kube: KubeClient, kubeconfig: str, where: str) -> Rules:
    """What the account may do there, besides what everybody may: ask about itself."""
    token = yaml.safe_load(kubeconfig)["users"][0]["user"]["token"]
    given = await kube.http.post(
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        json={"spec": {"namespace": where}},
        headers={"Authorization": f"Bearer {token}"},
    )
    answer = given.json()
    assert given.is_success, answer
    assert not answer["status"]["incomplete"]
    return {
        (verb, group, resource, name)
        for rule in answer["status"]["resourceRules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or ("*",)
        if group != "authorization.k8s.io" and resource != "selfsubjectreviews"
    }


def rules(group: str, resources: list[str], verbs: str, names: tuple[str, ...] = ("*",)) -> Rules:
    return {(verb, group, resource, name) for verb in verbs.split() for resource in resources for name in names}


EVERYWHERE = rules("", ["namespaces"], "list watch") | rules("", ["namespaces"], "get", ("kube-system",))
KINDS_OF_USERS: Rules = rules("events.k8s.io", ["events"], "create").union(
    *(rules(group, ["*"], "list watch") | rules(group, ["*/status"], "patch") for group in GROUPS if group != INTERNAL)
)
OF_ALL_AGENTS = (
    rules("", ["nodes"], "list watch")
    | rules(INTERNAL, ["xdsconfigs"], "list")
    | rules("authentication.k8s.io", ["tokenreviews"], "create")
    | rules("", ["configmaps"], "list watch", ("istio",))
)
OF_ISTIO = rules(
    "networking.istio.io",
    ["destinationrules", "envoyfilters", "gateways", "serviceentries", "virtualservices", "workloadentries"],
    "get list watch create patch delete",
)
DISCOVERY = (
    rules("", ["services", "pods"], "list watch")
    | rules("discovery.k8s.io", ["endpointslices"], "list watch")
    | OF_ISTIO
)
SECRETS = rules("", ["secrets"], "list watch")
TOKEN, ROOT, CLIENT = "relay-identity-token-secret", "relay-root-tls-secret", "relay-client-tls-secret"
ROLLBACKS = "fingerpost-rollbacks"
SIGNING, SERVED = "relay-tls-signing-secret", "relay-server-tls-secret"


GATEWAYS, AGENT_KEY, GATEWAY_ROOT = "gloo-mesh-agent-gateways", "gloo-mesh-agent-key", "gateway-root-tls-secret"


def named_secrets(once: tuple[str, ...], followed: tuple[str, ...], written: tuple[str, ...]) -> Rules:
    return (
        rules("", ["secrets"], "get", once)
        | rules("", ["secrets"], "get watch", followed)
        | rules("", ["secrets"], "patch", written)
        | rules("", ["secrets"], "create")
    )


def lease(name: str) -> Rules:
    group = "coordination.k8s.io"
    return rules(group, ["leases"], "create") | rules(group, ["leases"], "get patch", (name,))


OF_AGENT = named_secrets((AGENT_KEY,), (TOKEN, ROOT, CLIENT, GATEWAYS), (CLIENT, GATEWAYS)) | rules(
    INTERNAL, ["xdsconfigs"], "get create patch delete"
)
OF_BLOCKLIST = rules("", ["configmaps"], "get watch", (BLOCKLIST,))


def of_server(*agents: str, renewed: tuple[str, ...] = (ROOT, SIGNING, SERVED)) -> Rules:
    tokens = tuple(f"{TOKEN.removesuffix('-secret')}-{name}" for name in ("mgmt", *agents))
    return (
        OF_BLOCKLIST
        | rules("admin.gloo.solo.io", ["kubernetesclusters"], "patch")
        | named_secrets((*tokens, GATEWAY_ROOT, ROLLBACKS), (TOKEN, ROOT, SIGNING, SERVED), (*renewed, ROLLBACKS))
    )


@pytest.mark.spec("M-73")
async def test_the_agent_can_do_what_it_does(kube: KubeClient, cluster: ApiServer) -> None:
    given = {**values("agent-only"), "monitoring": {}}
    async with (
        account(kube, cluster, given, AGENT) as kubeconfig,
        kubernetes_cluster("one", TYPES_OF_AGENT, kubeconfig=kubeconfig) as source,
    ):
        source.want("core/ConfigMap", [("istio-system", "istio")])
        listing = await _listing(source)
        await all_read(source, listing)
        assert {key.type for key, _ in listing.changes} >= {TABLE, "core/Service", "core/Namespace"}
        assert await source.account_of("made up") is None, "it may ask whose token it is"
        source.want("core/Secret", [("gw", "tls")])
        await until(lambda: source_has(source, "gw", "tls"), why="a Secret that a gateway needs")
        assert source.findings == ()
        key = ObjectKey(TABLE, "one", "shop", "www")
        await source.write_status(key, {"state": "ACCEPTED"})
        assert (await kube.get(route_table("shop", "www", "")))["status"] == {"state": "ACCEPTED"}
        source.want("core/Secret", [("shop", "other")])
        await until(lambda: source.findings, why="Secrets of other namespaces are not its own")
        assert source.findings[0].code == "NotAllowed"
        assert "secrets other in namespace shop" in source.findings[0].message


@pytest.mark.spec("M-73")
@pytest.mark.parametrize("required", [False, True])
async def test_the_server_makes_clusters_only_where_approval_is_required(
    kube: KubeClient, cluster: ApiServer, required: bool
) -> None:
    given = values("register-cluster")
    relay = given["glooMgmtServer"].get("relay", {}) | {"requireApproval": required}
    given = given | {"glooMgmtServer": given["glooMgmtServer"] | {"relay": relay}}
    async with account(kube, cluster, given, SERVER) as kubeconfig:
        found = await _reviewed(kube, kubeconfig.read_text(), NAMESPACE)
        verbs = {verb for verb, _, resource, _ in found if resource == "kubernetesclusters"}
        assert verbs == ({"patch", "create"} if required else {"patch"})
        opened = kubernetes_cluster("one", ["admin.gloo.solo.io/*"], kubeconfig=kubeconfig)
        async with opened as source:
            await source.own("admin.gloo.solo.io/KubernetesCluster")  # what is served is known
            key = ObjectKey("admin.gloo.solo.io/KubernetesCluster", "one", NAMESPACE, "asks")
            obj = {"metadata": {"name": key.name, "namespace": NAMESPACE}, "spec": {}}
            if required:
                assert (await source.create(key, obj), await source.create(key, obj)) == (True, False)
            else:
                with pytest.raises(NotWritten, match="403"):
                    await source.create(key, obj)


@pytest.mark.spec("M-73")
async def test_an_agent_keeps_what_it_serves(kube: KubeClient, cluster: ApiServer) -> None:
    """Also a namespaced one: its own objects are in the namespace of the release."""
    marks = {"agent.gloo.solo.io": NAMESPACE}
    async with account(kube, cluster, values("namespaced"), AGENT) as kubeconfig:
        opened = kubernetes_cluster("one", [TABLE], kubeconfig=kubeconfig, namespaces=["shop"], marks=marks)
        async with opened as source:
            await _listing(source)
            outputs, key = source.outputs, ObjectKey(f"{INTERNAL}/XdsConfig", "one", NAMESPACE, "kept")
            assert outputs is not None
            obj = {"metadata": {"name": key.name, "namespace": key.namespace}, "spec": {"workloads": []}}
            await outputs.apply(key, obj)
            assert len(await outputs.own(key.type)) == 1
            await outputs.apply(key, {**obj, "spec": {"workloads": [{"name": "a"}]}})
            await outputs.remove(key)
            assert await outputs.own(key.type) == []


@pytest.mark.parametrize(("who", "kept"), [(SERVER, (ROOT, SERVED, SIGNING, TOKEN)), (AGENT, (CLIENT,))])
@pytest.mark.spec("M-73")
async def test_the_secrets_of_the_relay_are_made_read_and_renewed(
    kube: KubeClient, cluster: ApiServer, who: str, kept: tuple[str, ...]
) -> None:
    made = [secret(NAMESPACE, name) for name in kept]
    async with account(kube, cluster, values("register-cluster"), who) as kubeconfig, connected(kubeconfig) as api:
        secrets = KubernetesSecrets(api, NAMESPACE, who)
        try:
            for name in kept:
                assert await secrets.get(name) == {}
                assert await secrets.create(name, {"tls.crt": b"first"})
                if name == TOKEN:  # made once
                    with pytest.raises(SecretsFailed, match="403"):
                        await secrets.put(name, {"token": b"second"})
                    continue
                await secrets.put(name, {"tls.crt": b"second"})
                assert await secrets.get(name) == {"tls.crt": b"second"}
            if who == SERVER:
                assert await secrets.get("relay-identity-token-mgmt") == {}
                assert await secrets.get(BLOCKLIST) == {}
            with pytest.raises(SecretsFailed, match="403"):
                await secrets.get("other")
            with structlog.testing.capture_logs() as logs:
                async with asyncio.timeout(10), aclosing(secrets.watch(kept)) as names:  # type: ignore[type-var]
                    seen = {await anext(names) for _ in kept}
                    await secrets.put(kept[0], {"tls.crt": b"third"})
                    while await anext(names) != kept[0] or await secrets.get(kept[0]) != {"tls.crt": b"third"}:
                        pass
            assert seen <= set(kept)
            assert [line for line in logs if line["event"] == "secrets.watch.failed"] == []
        finally:
            await kube.delete(*made)


async def all_read(source: KubernetesCluster, listing: Batch) -> None:
    """Kinds that have just come are answered with 429 for a while; a right that is missing stays missing."""
    assert listing.unlisted == frozenset()
    await until(lambda: not source.findings, 20, lambda: source.findings[:3])


async def source_has(source: KubernetesCluster, where: str, name: str) -> bool:
    return await source.read_secret(where, name) is not None


@pytest.mark.spec("M-73")
async def test_the_server_can_do_what_it_does(kube: KubeClient, cluster: ApiServer) -> None:
    given = values("register-cluster")
    async with (
        account(kube, cluster, given, SERVER) as kubeconfig,
        kubernetes_cluster("one", TYPES_OF_SERVER, kubeconfig=kubeconfig, manager=SERVER) as source,
    ):
        await all_read(source, await _listing(source))
        await source.write_status(ObjectKey(TABLE, "one", "shop", "www"), {"state": "PENDING"})
        assert (await kube.get(route_table("shop", "www", "")))["status"] == {"state": "PENDING"}


async def test_a_namespaced_agent_reads_its_namespaces(kube: KubeClient, cluster: ApiServer) -> None:
    given = values("namespaced")
    async with account(kube, cluster, given, AGENT) as kubeconfig:
        for where in given["glooAgent"]["watchNamespaces"]:
            opened = kubernetes_cluster("one", TYPES_OF_AGENT, kubeconfig=kubeconfig, namespaces=[where])
            async with opened as source:
                listing = await _listing(source)
                await all_read(source, listing)
                found = {key for key, _ in listing.changes if key.type == TABLE}
                assert found == ({ObjectKey(TABLE, "one", "shop", "www")} if where == "shop" else set())
                for key in found:
                    await source.write_status(key, {"state": "WARNING"})
        assert (await kube.get(route_table("shop", "www", "")))["status"] == {"state": "WARNING"}
        async with kubernetes_cluster("one", ["core/Service"], kubeconfig=kubeconfig) as source:
            await until(lambda: source.findings, why="not all namespaces")
            assert source.findings[0].code == "NotAllowed"


async def test_an_agent_without_the_role_cannot_write_a_status(kube: KubeClient, cluster: ApiServer) -> None:
    """The test above could not fail otherwise."""
    given = values("namespaced")
    given["glooAgent"]["watchNamespaces"] = ["gw"]
    async with account(kube, cluster, given, AGENT) as kubeconfig:
        opened = kubernetes_cluster("one", [TABLE], kubeconfig=kubeconfig, namespaces=["gw"])
        async with opened as source:
            await _listing(source)
            source._statuses.saw(ObjectKey(TABLE, "one", "shop", "www"), {"metadata": {}}, edited=True)
            with pytest.raises(ClusterFailed, match="403"):
                await source.write_status(ObjectKey(TABLE, "one", "shop", "www"), {"state": "FAILED"})


@pytest.mark.parametrize(
    ("name", "who", "where", "expected"),
    [
        (
            "agent-only",
            AGENT,
            NAMESPACE,
            EVERYWHERE | OF_ALL_AGENTS | DISCOVERY | KINDS_OF_USERS | OF_AGENT | lease(AGENT),
        ),
        ("agent-only", AGENT, "gw", EVERYWHERE | OF_ALL_AGENTS | DISCOVERY | KINDS_OF_USERS | SECRETS),
        ("agent-only", AGENT, "shop", EVERYWHERE | OF_ALL_AGENTS | DISCOVERY | KINDS_OF_USERS),
        ("register-cluster", AGENT, "shop", EVERYWHERE | OF_ALL_AGENTS | DISCOVERY | KINDS_OF_USERS | SECRETS),
        ("namespaced", AGENT, NAMESPACE, EVERYWHERE | OF_ALL_AGENTS | OF_AGENT),
        ("namespaced", AGENT, "gw", EVERYWHERE | OF_ALL_AGENTS | DISCOVERY | KINDS_OF_USERS | SECRETS),
        ("namespaced", AGENT, "default", EVERYWHERE | OF_ALL_AGENTS),
        (
            "register-cluster",
            SERVER,
            NAMESPACE,
            EVERYWHERE | KINDS_OF_USERS | of_server() | lease(SERVER),
        ),
        (
            "reference-management",
            SERVER,
            NAMESPACE,
            EVERYWHERE | KINDS_OF_USERS | of_server("fra-prod-2", renewed=()) | lease(SERVER),
        ),
        ("register-cluster", SERVER, "shop", EVERYWHERE | KINDS_OF_USERS),
        ("register-cluster", "gloo-mesh-redis", NAMESPACE, set()),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
@pytest.mark.spec("M-73")
async def test_an_account_may_do_this_and_nothing_more(
    kube: KubeClient, cluster: ApiServer, name: str, who: str, where: str, expected: Rules
) -> None:
    async with account(kube, cluster, values(name), who) as kubeconfig:
        found = await _reviewed(kube, kubeconfig.read_text(), where)
    assert found - expected == set(), "more than is needed"
    assert expected - found == set(), "less than is needed"
