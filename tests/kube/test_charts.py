"""The charts, rendered by Helm: what is in them, and what a real API server says of it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python.errors import HelmRenderError, HelmValuesError

import agent.settings
import mgmt.settings
from fingerpost import __version__
from fingerpost.api.kinds import KINDS
from fingerpost.config import load
from tests.kube.api_server import ApiServer
from tests.kube.charts import CRDS, NAMES, NAMESPACE, PLATFORM, ROOT, Paths, Rendered, environment, faults, pods, values
from tests.kube.kube_client import KubeClient, namespace, open_crd

SERVER, AGENT, REDIS = "gloo-mesh-mgmt-server", "gloo-mesh-agent", "gloo-mesh-redis"
NAMESPACES = (NAMESPACE, "gloo-admin", "shop", "gw")
each_file = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def platform_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """With all kinds that a release has objects of."""
    server = ApiServer("one", tmp_path_factory.mktemp("platform"))
    server.prepare()
    try:
        asyncio.run(_with_kinds(server))
        yield server
    finally:
        asyncio.run(server.close())


async def _with_kinds(server: ApiServer) -> None:
    await server.start()
    monitoring = ("ServiceMonitor", "servicemonitors"), ("PrometheusRule", "prometheusrules")
    crds = [open_crd(k.kind, k.plural, k.group) for k in KINDS if k.kind in ("KubernetesCluster", "Workspace")]
    for kind, plural in monitoring:
        crd = open_crd(kind, plural, "monitoring.coreos.com")
        crd["spec"]["versions"][0]["name"] = "v1"
        crds.append(crd)
    async with KubeClient(server) as kube:
        await kube.install(*crds)
        await kube.apply(*(namespace(name) for name in NAMESPACES))


@pytest.fixture
async def platform(platform_server: ApiServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(platform_server) as kube:
        yield kube


# -------------------------------------------------------------------- rendering


@pytest.mark.parametrize("chart", [PLATFORM, CRDS], ids=lambda chart: chart.name)
def test_charts_bear_the_version_of_the_software(chart: Path) -> None:
    found = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert (found["version"], found["appVersion"]) == (__version__, __version__)


@pytest.mark.parametrize("chart", [PLATFORM, CRDS], ids=lambda chart: chart.name)
def test_lint_has_no_complaints_about_the_defaults(chart: Path) -> None:
    assert faults(chart, {}) == []
    assert {obj["kind"] for obj in Rendered({}, chart).objects} <= {"CustomResourceDefinition"}


@each_file
def test_lint_has_no_complaints(name: str) -> None:
    assert faults(PLATFORM, values(name)) == []


@each_file
async def test_every_object_is_accepted(platform: KubeClient, name: str) -> None:
    rendered, paths = Rendered(values(name)), Paths(platform)
    assert rendered.objects
    answers = [await paths.apply(obj, dry_run=True) for obj in rendered.objects]
    assert [answer.text for answer in answers if not answer.is_success] == []


@pytest.mark.spec("X-113")
@each_file
async def test_every_pod_is_fit_for_a_restricted_namespace(platform: KubeClient, name: str) -> None:
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    await platform.apply(namespace("restricted", **label))
    given = values(name)
    for part in ("glooMgmtServer", "glooAgent"):  # what users add is their own
        given.get(part, {}).pop("sidecars", None)
    found = list(pods(Rendered(given).objects))
    assert found
    for pod in found:
        pod["metadata"]["namespace"] = "restricted"
        answer = await Paths(platform).apply(pod, dry_run=True)
        assert answer.is_success, answer.text
        assert [c["securityContext"]["readOnlyRootFilesystem"] for c in pod["spec"]["containers"]] == [True]


async def test_a_pod_with_more_rights_is_refused_there(platform: KubeClient) -> None:
    await platform.apply(namespace("restricted", **{"pod-security.kubernetes.io/enforce": "restricted"}))
    pod = next(pods(Rendered(values("agent-only")).objects))
    pod["metadata"]["namespace"] = "restricted"
    del pod["spec"]["securityContext"]["runAsNonRoot"]
    answer = await Paths(platform).apply(pod, dry_run=True)
    assert answer.status_code == 403
    assert "runAsNonRoot" in answer.text


def test_the_values_of_the_guide_render_without_a_warning() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "install.md").read_text(), re.DOTALL | re.MULTILINE)
    rendered = [Rendered(yaml.safe_load(block)) for block in blocks]
    assert [sorted(one.names("Deployment")) for one in rendered] == [[AGENT, SERVER, REDIS], [AGENT]]
    assert [one.warnings() for one in rendered] == [[], []]


# -------------------------------------------------------------------- the parts


@each_file
@pytest.mark.spec("M-3")
def test_no_service_leads_to_the_admin_port_of_the_server(name: str) -> None:
    rendered = Rendered(values(name))
    for service in rendered.all("Service"):
        selector = service["spec"]["selector"]
        for deployment in rendered.all("Deployment"):
            template = deployment["spec"]["template"]
            if (
                deployment["metadata"]["name"] != SERVER
                or not selector.items() <= template["metadata"]["labels"].items()
            ):
                continue
            named = {p["name"]: p["containerPort"] for c in template["spec"]["containers"] for p in c.get("ports", [])}
            reached = {named.get(p["targetPort"], p["targetPort"]) for p in service["spec"]["ports"]}
            assert named["stats"] == 9091
            assert reached == {named["grpc"], named["healthcheck"]}


def test_components_have_the_names_and_ports_of_the_architecture() -> None:
    rendered = Rendered(values("register-cluster"))
    assert rendered.names("Deployment") == rendered.names("Service") == {SERVER, AGENT, REDIS}
    ports = {
        name: {p["name"]: p["port"] for p in rendered.one("Service", name)["spec"]["ports"]}
        for name in (SERVER, AGENT, REDIS)
    }
    assert ports == {
        SERVER: {"grpc": 9900, "healthcheck": 8090},
        AGENT: {"grpc": 9977, "http": 9988, "stats": 9091},
        REDIS: {"redis": 6379},
    }


def test_a_cluster_that_registers_itself_has_an_agent_that_knows_the_server() -> None:
    rendered = Rendered(values("register-cluster"))
    given = environment(rendered.one("Deployment", AGENT))
    assert given["FINGERPOST_AGENT_SERVER_ADDRESS"] == "gloo-mesh-mgmt-server.gloo-mesh:9900"
    assert given["FINGERPOST_AGENT_CLUSTER"] == "mgmt"
    assert rendered.names("KubernetesCluster") == {"mgmt"}
    assert rendered.names("Workspace") == {"global"}


@each_file
def test_every_setting_is_one_that_the_process_knows(name: str, tmp_path: Path) -> None:
    for deployment in Rendered(values(name)).all("Deployment"):
        settings, prefix = {
            SERVER: (mgmt.settings.Settings, "FINGERPOST_MGMT_"),
            AGENT: (agent.settings.Settings, "FINGERPOST_AGENT_"),
        }.get(deployment["metadata"]["name"], (None, ""))
        if settings is None:
            continue
        found = environment(deployment)
        own = {k: v if isinstance(v, str) else "from-the-pod" for k, v in found.items() if k.startswith(prefix)}
        own[f"{prefix}STATE_DIR"] = str(tmp_path)
        chosen = load(settings, prefix, [], own, "")
        known = {prefix + field.upper() for field in settings.__struct_fields__}
        assert set(own) <= known
        assert chosen.in_cluster


def test_values_reach_the_settings(tmp_path: Path) -> None:
    ha = environment(Rendered(values("high-availability")).one("Deployment", SERVER))
    assert ha["FINGERPOST_MGMT_SAFE_MODE"] == "strict"
    assert ha["FINGERPOST_MGMT_ADMIN_NAMESPACE"] == "gloo-admin"
    assert ha["FINGERPOST_MGMT_REPLICA"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert ha["REDIS_PASSWORD"] == {"secretKeyRef": {"name": "redis-auth-secrets", "key": "password"}}
    outside = Rendered(values("external-redis"))
    assert REDIS not in outside.names("Deployment")
    assert environment(outside.one("Deployment", SERVER))["FINGERPOST_MGMT_REDIS_URL"] == (
        "rediss://redis.example.com:6380/2"
    )
    assert outside.names("KubernetesCluster") == {"fra-prod-2", "lon-prod-1"}
    plain = Rendered(values("insecure"))
    assert environment(plain.one("Deployment", SERVER))["FINGERPOST_MGMT_INSECURE"] == "true"
    assert environment(plain.one("Deployment", AGENT))["FINGERPOST_AGENT_INSECURE"] == "true"
    brought = environment(Rendered(values("reference-management")).one("Deployment", SERVER))
    assert brought["FINGERPOST_MGMT_RELAY_TOKEN"] == brought["RELAY_TOKEN"] == "canary-token"
    assert brought["FINGERPOST_MGMT_DISABLE_CLIENT_CERTIFICATE_AUTHENTICATION"] == "true"
    assert brought["FINGERPOST_MGMT_DISABLE_CA"] == "true"
    own = environment(Rendered(values("reference-agent")).one("Deployment", AGENT))
    assert own["FINGERPOST_AGENT_CLIENT_TLS_SECRET"] == "gloo-mesh-agent-fra-prod-2-tls-cert"
    assert own["FINGERPOST_AGENT_DISABLE_SERVER_CERTIFICATE_VALIDATION"] == "true"
    some = environment(Rendered(values("namespaced")).one("Deployment", AGENT))
    assert some["FINGERPOST_AGENT_NAMESPACES"] == "shop,gw"


def test_overrides_are_merged_and_keep_what_they_do_not_name() -> None:
    rendered = Rendered(values("high-availability"))
    deployment, service = rendered.one("Deployment", SERVER), rendered.one("Service", SERVER)
    assert deployment["spec"]["replicas"] == 3
    spec = deployment["spec"]["template"]["spec"]
    assert spec["topologySpreadConstraints"][0]["maxSkew"] == 1
    assert [c["name"] for c in spec["containers"]] == [SERVER, "log-shipper"]
    assert spec["containers"][0]["image"] == "registry.example.com/mirror/fingerpost-mgmt:0.1.0-fips"
    assert spec["imagePullSecrets"] == [{"name": "registry-login"}]
    assert service["metadata"]["annotations"] == {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"}
    assert service["spec"]["type"] == "LoadBalancer"
    labels = rendered.one("Deployment", AGENT)["spec"]["template"]["metadata"]["labels"]
    assert labels["team"] == "edge"
    assert labels["app"] == AGENT


def test_the_alerts_are_those_that_people_route_on() -> None:
    (group,) = Rendered(values("high-availability")).one("PrometheusRule", "gloo-platform-alerts")["spec"]["groups"]
    assert group["name"] == "GlooPlatformAlerts"
    assert {rule["alert"].removeprefix("GlooPlatform"): rule.get("for", "-") for rule in group["rules"]} == {
        "TranslationLatencyIsHigh": "15m",
        "ReconscilerLatencyIsHigh": "15m",
        "AgentsAreDisconnected": "5m",
        "TranslationWarnings": "-",
        "TranslationErrors": "-",
        "RedisErrors": "-",
        "CertificateExpiresSoon": "1h",
        "TranslationHeld": "10m",
        "ObjectsRejected": "10m",
    }
    assert {rule["labels"]["severity"] for rule in group["rules"]} == {"warning"}


def test_network_policies_name_the_ports_of_the_pods() -> None:
    rendered = Rendered(values("high-availability"))
    allowed = {
        policy["metadata"]["name"]: {p["port"] for rule in policy["spec"]["ingress"] for p in rule["ports"]}
        for policy in rendered.all("NetworkPolicy")
    }
    assert allowed == {SERVER: {9900, 8090, 9091}, AGENT: {9977, 9988}, REDIS: {6379}}


# -------------------------------------------------------------------- values that are wrong, or without effect


@pytest.mark.parametrize(
    ("where", "given"),
    [
        ("/glooMgmtServer", {"glooMgmtServer": {"registercluster": True}}),
        ("/glooAgent/relay", {"glooAgent": {"relay": {"serveraddress": "a:1"}}}),
        ("/glooAgent/relay/serverAddress", {"glooAgent": {"relay": {"serverAddress": 9900}}}),
        ("/common/cluster", {"common": {"cluster": "Prod_1"}}),
        ("/glooMgmtServer/ports/grpc", {"glooMgmtServer": {"ports": {"grpc": "9900"}}}),
        ("/glooMgmtServer/safeMode", {"glooMgmtServer": {"safeMode": "stict"}}),
        ("/glooMgmtServer/extraEnvs/A", {"glooMgmtServer": {"extraEnvs": {"A": "plain"}}}),
        ("/redis/connection/dialTimeout", {"redis": {"connection": {"dialTimeout": 5}}}),
        ("/prometheus/enabled", {"prometheus": {"enabled": "yes"}}),
        ("", {"glooAgnet": {}}),
    ],
)
@pytest.mark.spec("M-84")
def test_a_misspelt_key_or_a_wrong_value_is_refused_with_its_path(where: str, given: dict[str, Any]) -> None:
    with pytest.raises(HelmValuesError) as refusal:
        Rendered(given)
    assert f"at '{where}'" in str(refusal.value)


def sections(part: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All that have keys of their own; what is passed on as it is has those of whoever reads it."""
    yield path
    for name, below in part.items():
        if isinstance(below, dict) and below and name not in ("resources", "telemetryCollector"):
            yield from sections(below, (*path, name))


@pytest.mark.parametrize("chart", [PLATFORM, CRDS], ids=lambda chart: chart.name)
@pytest.mark.spec("M-84")
def test_a_misspelt_key_is_refused_wherever_it_stands(chart: Path) -> None:
    found = list(sections(yaml.safe_load((chart / "values.yaml").read_text())))
    assert len(found) > 1
    for path in found:
        given: dict[str, Any] = {"mispelt": True}
        for name in reversed(path):
            given = {name: given}
        with pytest.raises(HelmValuesError) as refusal:
            Rendered(given, chart)
        where = "".join(f"/{name}" for name in path)
        assert f"at '{where}': additional properties 'mispelt' not allowed" in str(refusal.value)


@pytest.mark.parametrize(
    ("says", "given"),
    [
        ("common.cluster is empty", {"common": {"cluster": ""}, "glooMgmtServer": {"enabled": True}}),
        ("glooAgent.relay.serverAddress is empty", {"glooAgent": {"enabled": True}}),
        (
            "the built-in Redis speaks no TLS",
            {"glooMgmtServer": {"enabled": True}, "redis": {"certs": {"enabled": True}}},
        ),
        (
            "redis.address is empty",
            {
                "common": {"cluster": "a"},
                "glooMgmtServer": {"enabled": True},
                "redis": {"deployment": {"enabled": False}},
            },
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_the_remedy(says: str, given: dict[str, Any]) -> None:
    with pytest.raises(HelmRenderError, match=re.escape(says)):
        Rendered({"common": {"cluster": "a"}} | given)


def test_every_value_without_effect_gives_one_warning() -> None:
    """Also in the cluster, for those who do not see what Helm prints."""
    entries = yaml.safe_load((PLATFORM / "files" / "unsupported.yaml").read_text())
    schema = yaml.safe_load((PLATFORM / "values.schema.json").read_text())
    for entry in entries:
        steps = entry["path"].split(".")
        assert steps[0] in schema["properties"], entry["path"]
    rendered = Rendered(values("reference-management"))
    told = rendered.one("ConfigMap", "gloo-platform-warnings")["data"]["warnings"].splitlines()
    assert told == rendered.warnings()
    assert len(told) == len(set(told)) >= 15
    assert "glooUi.enabled has no effect in this version: there is no dashboard" in told
    assert not [line for line in told if "safeMode" in line or "maxGrpcMessageSize" in line]
    assert "canary" not in "".join(told)
    assert Rendered(values("register-cluster")).warnings() == []


@pytest.mark.spec("X-105")
def test_licences_change_nothing() -> None:
    given = values("reference-management")
    with_licence = Rendered(given).objects
    del given["licensing"]
    assert Rendered(given).objects == with_licence
    assert Rendered({**given, "glooTrialLicenseKey": "canary"}).objects == with_licence


def test_roles_are_aggregated_when_asked_for() -> None:
    roles = Rendered({"rbac": {"aggregate": True}}, CRDS).all("ClusterRole")
    groups = {kind.group for kind in KINDS if "solo.io" in kind.group}
    for role in roles:
        name = role["metadata"]["name"].removeprefix("gloo-mesh-")
        assert role["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{name}"] == "true"
        assert {group for rule in role["rules"] for group in rule["apiGroups"]} == groups
        assert ("create" in role["rules"][0]["verbs"]) == (name != "view")
    assert len(roles) == 3


@pytest.mark.spec("X-113")
@each_file
def test_no_pod_needs_a_shell_and_the_user_is_the_clusters_to_choose(name: str) -> None:
    """Commands are those of the images, probes are requests, and a floating user leaves the number out."""
    given = values(name)
    for part in ("glooMgmtServer", "glooAgent"):
        given.get(part, {}).pop("sidecars", None)
    for floating in (True, False):
        for part in ("glooMgmtServer", "glooAgent"):
            given.setdefault(part, {}).update(floatingUserId=floating)
        for pod in pods(Rendered(given).objects):
            ours = [c for c in pod["spec"]["containers"] if "fingerpost" in c["image"]]
            assert all(c["command"][0] in ("fingerpost-agent", "fingerpost-mgmt") for c in ours)
            probes = [c[k] for c in ours for k in ("livenessProbe", "readinessProbe", "startupProbe") if k in c]
            assert not any("exec" in probe for probe in probes)
            users = {pod["spec"]["securityContext"].get("runAsUser")} if ours else {10101}
            assert users == ({None} if floating and ours else {10101})


@pytest.mark.spec("X-113")
def test_images_hold_what_the_charts_start() -> None:
    """Each image installs the extra of its process at exact versions and starts the chart's command as its user."""
    for name, extra, command in (("mgmt", "mgmt", "fingerpost-mgmt"), ("agent", "agent", "fingerpost-agent")):
        text = (ROOT / "docker" / f"{name}.Dockerfile").read_text()
        extra_at = re.search(rf"pip install .*-c constraints\.txt .*\.\[{extra}\]", text)
        mended_at = re.search(r"pip install .*--force-reinstall -c constraints\.txt opentelemetry-proto", text)
        assert extra_at
        assert mended_at
        assert extra_at.start() < mended_at.start(), "traces could not be sent"
        assert f'ENTRYPOINT ["{command}"]' in text
        assert "USER 10101" in text
        assert os.path.exists(ROOT / "constraints.txt")
