"""Values that render and cannot work: refused by Helm, with where they stand, before anything is in a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from helm_python.errors import HelmRenderError, HelmValuesError

from tests.kube.charts import Rendered

Values = dict[str, Any]
ON = ("common.cluster", "mgmt"), ("glooMgmtServer.enabled", True), ("glooMgmtServer.registerCluster", True)
_OVERRIDES = "deploymentOverrides.spec.replicas"


def given(*pairs: tuple[str, Any]) -> Values:
    """From paths with dots; all three components run unless the pairs say otherwise."""
    out: Values = {}
    for path, value in (*ON, *pairs):
        *above, name = path.split(".")
        part = out
        for step in above:
            part = part.setdefault(step, {})
        part[name] = value
    return out


# -------------------------------------------------------------------- one value by itself: the schema

_COMPONENTS = ("glooMgmtServer", "glooAgent", "redis.deployment")
_OF_EACH: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("image.registry", ("https://registry.example.com", "a b")),
    ("image.repository", ("", "Fingerpost", "a b", "a:1")),
    ("image.tag", ("a b", "-1", "x" * 129, "1@sha256:12")),
    ("resources", ({"request": {}}, {"requests": {"cpu": "much"}}, {"limits": {"memory": "-1Gi"}}, {"limits": []})),
    ("runAsUser", (0, -1, 2**31, "root")),
    (_OVERRIDES, (-1, 1.5, "3")),
    ("extraEnvs", ({"A": {"value": "1", "valueFrom": {}}}, {"A": {}}, {"1A": {"value": "x"}})),
    ("sidecars", ({"A": {"image": "a"}}, {"a": {}}, {"a": {"image": ""}}, {"a": {"image": {"tag": "1"}}})),
)
WRONG: list[tuple[str, Any]] = [
    *((f"{part}.{path}", value) for part in _COMPONENTS for path, values in _OF_EACH for value in values),
    *((f"glooMgmtServer.ports.{port}", n) for port in ("grpc", "healthcheck") for n in (0, -1, 65536, 1.5)),
    *((f"glooAgent.ports.{port}", n) for port in ("grpc", "http", "stats") for n in (0, -1, 65536, 1.5)),
    *(("glooMgmtServer.statsPort", n) for n in (0, 65536)),
    *(("glooMgmtServer.safeStartWindow", seconds) for seconds in (-1, 86401, "180s")),
    *(("glooMgmtServer.agents", [{"name": name}]) for name in ("", "A", "1a", "a.b", "a" * 64)),
    *(("glooMgmtServer.agents", [{"name": "a", "domain": domain}]) for domain in ("cluster local", ".local", "A")),
    *(("common.cluster", name) for name in ("A", "1a", "a_b")),
    *(("common.clusterDomain", domain) for domain in ("", "a..b", "-a", "a" * 64)),
    *(("common.adminNamespace", name) for name in ("a.b", "A", "a" * 64)),
    *(("common.imageRegistry", registry) for registry in ("oci://registry.example.com", "registry.example.com:p")),
    *(("common.imageTag", tag) for tag in (".1", "a/b")),
    ("common.imagePullSecrets", ["a", "a"]),
    *(("glooMgmtServer.relay.staleInputTTL", time) for time in (-1, "-1h", "soon")),
    *(("glooMgmtServer.maxGrpcMessageSize", size) for size in (0, -1, "4GiB")),
    ("glooMgmtServer.concurrency", 0),
    ("glooMgmtServer.cloudResourcesDiscovery.pollingInterval", 0),
    *((f"glooMgmtServer.relay.{name}.name", "A b") for name in ("tlsSecret", "rootTlsSecret", "signingTlsSecret")),
    *((f"{part}.relay.tokenSecret.key", key) for part in ("glooMgmtServer", "glooAgent") for key in ("", "a/b")),
    *(
        ("glooAgent.relay.clientTlsSecretRotationGracePeriodRatio", ratio)
        for ratio in (0, 1, -0.1, 1.5, "0", "0.0", "1", "20%", "")
    ),
    *(("glooAgent.relay.authority", name) for name in ("", "a b", "gloo-mesh:9900", "*.gloo-mesh")),
    *(("glooAgent.watchNamespaces", names) for names in ([""], ["*"], ["a.b"])),
    *(("glooAgent.secretNamespaces", names) for names in ([""], ["a*"])),
    ("glooAgent.meshConfigs", ["istio"]),
    *(("glooAgent.metricsBufferSize", size) for size in (-1, "50")),
    *(("redis.db", number) for number in (-1, 0.5)),
    ("redis.sentinel.master", "my master"),
    *(("redis.sentinel.port", port) for port in (0, 65536)),
    *((f"redis.auth.{name}", "") for name in ("secretName", "usernameKey", "passwordKey")),
    *((f"redis.certs.{name}", "a/b") for name in ("caCertKey", "clientCertKey", "clientKeyKey")),
    *((f"redis.connection.{name}", "-1s") for name in ("dialTimeout", "readTimeout", "maxConnAge", "minRetryBackoff")),
    ("redis.connection.maxRetries", -2),
    ("redis.connection.poolSize", -1),
    *(("redis.deployment.persistence.size", size) for size in ("", "big", "-1Gi", "1GB", 5)),
    ("redis.deployment.persistence.storageClass", "Fast Disk"),
    ("redis.deployment.persistence.existingClaim", "a b"),
    *(("networkPolicies.apiServerPorts", ports) for ports in ([], [0], [65536], [443, 443])),
    *(
        (f"monitoring.serviceMonitor.{name}", time)
        for name in ("interval", "scrapeTimeout")
        for time in ("", "0s", "-1s", "30s1m", "15", "soon")
    ),
    *(
        (f"monitoring.{name}.labels", {"a": value})
        for name in ("serviceMonitor", "prometheusRule")
        for value in (1, "a b")
    ),
]


@pytest.mark.parametrize(("path", "value"), WRONG, ids=lambda one: str(one)[:60])
@pytest.mark.spec("M-84")
def test_a_value_that_cannot_work_is_refused_with_its_path(path: str, value: Any) -> None:
    with pytest.raises(HelmValuesError) as refusal:
        Rendered(given((path, value)))
    assert f"at '/{path.replace('.', '/')}" in str(refusal.value)


RIGHT: list[tuple[str, Any]] = [
    *((f"{part}.image.tag", tag) for part in _COMPONENTS for tag in ("", "1.0", f"1@sha256:{'a' * 64}")),
    *((f"{part}.image.registry", where) for part in _COMPONENTS for where in ("", "localhost:5000/a/b", "r.example/")),
    *(
        (f"{part}.resources", {"requests": {"cpu": cpu, "memory": "1e9"}, "limits": None})
        for part in _COMPONENTS
        for cpu in (1, 0.5, "500m", ".5", "2Gi")
    ),
    ("glooMgmtServer.resources", {"limits": {"nvidia.com/gpu": "1"}, "claims": [{"name": "a"}]}),
    ("glooMgmtServer.deploymentOverrides.spec.replicas", 0),
    ("glooMgmtServer.deploymentOverrides.spec.replicas", 3),
    ("glooAgent.deploymentOverrides.spec.replicas", 2),
    ("glooMgmtServer.safeStartWindow", 0),
    ("glooMgmtServer.agents", [{"name": "a", "domain": ""}, {"name": "mgmt"}]),
    *(("glooAgent.relay.clientTlsSecretRotationGracePeriodRatio", ratio) for ratio in (0.01, "0.1", ".5")),
    *(("glooAgent.relay.serverAddress", where) for where in ("a:1,b:65535", "a:1, b:1", ["[::1]:9900"])),
    ("redis.address", "a:6379"),
    ("redis.db", 15),
    ("redis.deployment.persistence.size", "500M"),
    ("monitoring.serviceMonitor.interval", "1m30s"),
    ("glooMgmtServer.insecure", False),
    ("glooMgmtServer.sidecars", {"a": {"image": "a", "ports": [{"containerPort": 8080}]}}),
    ("glooMgmtServer.extraEnvs", {"FINGERPOST_MGMT_HEARTBEAT": {"value": "5"}}),
]


@pytest.mark.parametrize(("path", "value"), RIGHT, ids=lambda one: str(one)[:60])
def test_a_value_at_the_edge_is_taken(path: str, value: Any) -> None:
    assert Rendered(given((path, value))).all("Deployment")


# -------------------------------------------------------------------- several values together: one template

_TOKEN_ONLY = {"RELAY_DISABLE_CLIENT_CERTIFICATE_AUTHENTICATION": {"value": "true"}, "RELAY_TOKEN": {"value": "canary"}}
_ALONE = ("glooMgmtServer.enabled", False), ("glooMgmtServer.registerCluster", False), ("glooAgent.enabled", True)
_WORKLOAD = (*_ALONE, ("glooAgent.relay.serverAddress", "a:1"))
_INSECURE = ("common.insecure", True)

TOGETHER: list[tuple[str, tuple[tuple[str, Any], ...]]] = [
    ("glooMgmtServer.ports.grpc and glooMgmtServer.statsPort are both 9091", (("glooMgmtServer.ports.grpc", 9091),)),
    (
        "glooMgmtServer.ports.grpc and glooMgmtServer.ports.healthcheck are both 9900",
        (("glooMgmtServer.ports.healthcheck", 9900),),
    ),
    ("glooAgent.ports.grpc and glooAgent.ports.http are both 9988", (("glooAgent.ports.grpc", 9988),)),
    ("glooAgent.ports.http and glooAgent.ports.stats are both 9091", (("glooAgent.ports.http", 9091),)),
    ("glooAgent.ports.grpc and glooAgent.ports.stats are both 9977", (("glooAgent.ports.stats", 9977),)),
    *(
        (
            f"{name} and {part}.sidecars.a.ports are both {port}",
            ((f"{part}.sidecars", {"a": {"image": "a", "ports": [{"containerPort": port}]}}),),
        )
        for part, name, port in (
            ("glooMgmtServer", "glooMgmtServer.statsPort", 9091),
            ("glooAgent", "glooAgent.ports.http", 9988),
            ("redis.deployment", "the port of Redis", 6379),
        )
    ),
    (
        "glooMgmtServer.relay.tlsSecret.name and glooMgmtServer.relay.signingTlsSecret.name are both one",
        (("glooMgmtServer.relay.tlsSecret.name", "one"), ("glooMgmtServer.relay.signingTlsSecret.name", "one")),
    ),
    (
        "the gateways' root and glooMgmtServer.relay.rootTlsSecret.name are both gateway-root-tls-secret",
        (("glooMgmtServer.relay.rootTlsSecret.name", "gateway-root-tls-secret"),),
    ),
    (
        "glooMgmtServer.relay.tlsSecret.name and glooAgent.relay.clientTlsSecret.name are both relay-server-tls-secret",
        (("glooAgent.relay.clientTlsSecret.name", "relay-server-tls-secret"),),
    ),
    (
        "glooAgent.relay.clientTlsSecret.name and glooAgent.relay.rootTlsSecret.name are both one",
        (*_WORKLOAD, ("glooAgent.relay.clientTlsSecret.name", "one"), ("glooAgent.relay.rootTlsSecret.name", "one")),
    ),
    *((f"redis.deployment.{_OVERRIDES} is {n}", ((f"redis.deployment.{_OVERRIDES}", n),)) for n in (0, 2)),
    (f"glooAgent.{_OVERRIDES} is 0", ((f"glooAgent.{_OVERRIDES}", 0),)),
    *(
        (f"glooAgent.{_OVERRIDES} is 2 and there is no leader", ((f"glooAgent.{_OVERRIDES}", 2), (path, False)))
        for path in ("common.leaderElection", "glooAgent.leaderElection")
    ),
    (
        "requireClusterToken is true, so RELAY_TOKEN of glooMgmtServer.extraEnvs admits nobody",
        (("glooMgmtServer.relay.requireClusterToken", True), ("glooMgmtServer.extraEnvs", _TOKEN_ONLY)),
    ),
    (
        "glooMgmtServer.relay.requireClusterToken and glooMgmtServer.relay.disableCa are both true",
        (("glooMgmtServer.relay.requireClusterToken", True), ("glooMgmtServer.relay.disableCa", True)),
    ),
    (
        "glooMgmtServer.relay.signingTlsSecret.name is mine",
        (("glooMgmtServer.relay.signingTlsSecret.name", "mine"), ("glooMgmtServer.extraEnvs", _TOKEN_ONLY)),
    ),
    (
        "glooMgmtServer.registerCluster is true and glooMgmtServer.enabled is false",
        (("glooMgmtServer.enabled", False),),
    ),
    *(
        (f"{where} and glooMgmtServer.relay.{name} are both true", (*insecure, (f"glooMgmtServer.relay.{name}", True)))
        for where, insecure in (
            ("common.insecure", (_INSECURE,)),
            ("glooMgmtServer.insecure", (("glooMgmtServer.insecure", True), ("glooAgent.insecure", True))),
        )
        for name in (
            "requireApproval",
            "requireClusterToken",
            "disableCa",
            "disableCaCertGeneration",
            "disableTokenGeneration",
        )
    ),
    *(
        (f"common.insecure is true, so {name} of {part}.extraEnvs", (_INSECURE, (f"{part}.extraEnvs", {name: value})))
        for part, name in (
            ("glooMgmtServer", "RELAY_TOKEN"),
            ("glooMgmtServer", "RELAY_DISABLE_CLIENT_CERTIFICATE_AUTHENTICATION"),
            ("glooAgent", "RELAY_TOKEN"),
            ("glooAgent", "RELAY_DISABLE_SERVER_CERTIFICATE_VALIDATION"),
        )
        for value in ({"value": "true"}, {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}})
    ),
    (
        "glooAgent.insecure is true, so the certificate in glooAgent.relay.clientTlsSecret.name would not be used",
        (*_WORKLOAD, ("glooAgent.insecure", True), ("glooAgent.relay.clientTlsSecret.name", "mine")),
    ),
    ("glooMgmtServer.insecure is true and glooAgent.insecure is false", (("glooMgmtServer.insecure", True),)),
    ("glooMgmtServer.insecure is false and glooAgent.insecure is true", (("glooAgent.insecure", True),)),
    ("redis.db is 16", (("redis.db", 16),)),
    ("the built-in Redis speaks no TLS", (("redis.certs.enabled", True),)),
    ("redis.sentinel.master is relay, and the built-in Redis has no", (("redis.sentinel.master", "relay"),)),
    ("redis.address is a:1,b:2: several are those of Sentinels", (("redis.address", "a:1,b:2"),)),
    (
        "redis.sentinel.auth is true and redis.auth.enabled is false",
        (("redis.address", "a:1"), ("redis.sentinel.master", "relay"), ("redis.sentinel.auth", True)),
    ),
    ("redis.address is empty and redis.deployment.enabled is false", (("redis.deployment.enabled", False),)),
    (
        "redis.address is a:1, and redis.deployment.persistence is for the built-in Redis",
        (("redis.address", "a:1"), ("redis.deployment.persistence.enabled", True)),
    ),
    (
        "redis.deployment.persistence.existingClaim is mine",
        (("redis.deployment.persistence.existingClaim", "mine"),),
    ),
    (
        "glooMgmtServer.agents[0].name and glooMgmtServer.agents[2].name are both a",
        (("glooMgmtServer.agents", [{"name": "a"}, {"name": "b"}, {"name": "a", "domain": "other"}]),),
    ),
    (
        "glooMgmtServer.agents[0].domain is other and common.clusterDomain is cluster.local",
        (("glooMgmtServer.agents", [{"name": "mgmt", "domain": "other"}]),),
    ),
    *(
        (f"{part}.sidecars.{name} has the name of the container", ((f"{part}.sidecars", {name: {"image": "a"}}),))
        for part, name in (
            ("glooMgmtServer", "gloo-mesh-mgmt-server"),
            ("glooAgent", "gloo-mesh-agent"),
            ("redis.deployment", "redis"),
        )
    ),
    *(
        (f"{part}.extraEnvs.{name} is set by the chart", ((f"{part}.extraEnvs", {name: {"value": "canary"}}),))
        for part, name in (
            ("glooMgmtServer", "FINGERPOST_MGMT_CLUSTER"),
            ("glooMgmtServer", "FINGERPOST_MGMT_REDIS_URL"),
            ("glooAgent", "FINGERPOST_AGENT_NAMESPACES"),
        )
    ),
    (
        "monitoring.serviceMonitor.scrapeTimeout is 1m1s, longer than monitoring.serviceMonitor.interval, 60s",
        tuple(
            (f"monitoring.serviceMonitor.{name}", value)
            for name, value in (("enabled", True), ("interval", "60s"), ("scrapeTimeout", "1m1s"))
        ),
    ),
]


@pytest.mark.parametrize(("says", "pairs"), TOGETHER, ids=lambda one: str(one)[:60])
def test_values_that_cannot_work_together_are_refused_with_the_remedy(
    says: str, pairs: tuple[tuple[str, Any], ...]
) -> None:
    with pytest.raises(HelmRenderError) as refusal:
        Rendered(given(*pairs))
    _, *lines = str(refusal.value).splitlines()
    (line,) = [line for line in lines if says in line]
    assert ": " in line, "the remedy"
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "port", "more"),
    [
        ("glooAgent.relay.serverAddress", 9900, ("a:1,,b:1", "2001:db8::7:9900", ["a:65536"], [""], 'a"b')),
        ("redis.address", 6379, ()),
        ("telemetryCollector.config.exporters.otlp.endpoint", 4317, ()),
    ],
    ids=["relay", "redis", "traces"],
)
@pytest.mark.spec("M-84")
def test_an_address_without_a_port_is_refused_in_words(path: str, port: int, more: tuple[Any, ...]) -> None:
    for where in ("a", "a:0", "a:65536", ":1", "a:1 ", "https://a:1", *more):
        with pytest.raises(HelmRenderError) as refusal:
            Rendered(given((path, where)))
        _, line = str(refusal.value).splitlines()
        (said,) = (one for one in ([where] if isinstance(where, str) else where))
        said = "empty" if said in ("", "a:1,,b:1") else said
        assert line == f"{path} is {said}: give host:port, such as host.example.com:{port} or [2001:db8::7]:{port}"


def test_a_login_in_an_address_is_not_repeated() -> None:
    with pytest.raises(HelmRenderError) as refusal:
        Rendered(given(("redis.address", "redis://relay:canary@a:6379")))
    assert "redis.address is ...@a:6379: give host:port" in str(refusal.value)
    assert "canary" not in str(refusal.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(HelmRenderError) as refusal:
        Rendered(given(("redis.db", 16), ("glooMgmtServer.statsPort", 9900), ("glooAgent.ports.grpc", 9988)))
    _, *lines = str(refusal.value).splitlines()
    assert len(lines) == 3


def test_what_does_not_run_is_not_judged() -> None:
    """A values file may serve several clusters."""
    wrong = ("glooMgmtServer.statsPort", 9900), ("redis.db", 16), (f"redis.deployment.{_OVERRIDES}", 2)
    assert Rendered(given(*_WORKLOAD, *wrong)).names("Deployment") == {"gloo-mesh-agent"}
