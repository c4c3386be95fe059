"""What a container of the test ground sees: files, environment, credentials, and nothing of what others write."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fleet.fleet_network import until
from tests.kube import pods_app
from tests.kube.cluster import Cluster, running_cluster
from tests.kube.kube_client import Object, namespace, secret
from tests.kube.test_ground import HEALTH, ask, deployment, exists, pods, ready_pods, started

pytestmark = pytest.mark.asyncio(loop_scope="module")
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
RBAC = "rbac.authorization.k8s.io"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    async with running_cluster("one", tmp_path_factory.mktemp("one")) as running:
        yield running


def config_map(where: str, name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": where}, "data": data}


async def test_secrets_and_config_maps_are_files_that_follow_them(cluster: Cluster) -> None:
    where = "files"
    await cluster.kube.apply(
        namespace(where), secret(where, "cert", **{"tls.key": "one"}), config_map(where, "conf", a="1", b="2")
    )
    volumes = [
        {"name": "cert", "secret": {"secretName": "cert", "defaultMode": 0o400}},
        {"name": "conf", "configMap": {"name": "conf", "items": [{"key": "a", "path": "deep/a.txt"}]}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "none", "secret": {"secretName": "missing", "optional": True}},
    ]
    mounts = [
        {"name": "cert", "mountPath": "/etc/gloo/tls", "readOnly": True},
        {"name": "conf", "mountPath": "/etc/gloo/conf"},
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "none", "mountPath": "/var/run/none"},
    ]
    pod = await started(
        cluster, where, spec={"volumes": volumes}, volumeMounts=mounts, securityContext={"readOnlyRootFilesystem": True}
    )
    assert await ask(pod, "file/etc/gloo/tls/tls.key") == "one"
    assert await ask(pod, "file/etc/gloo/conf/deep/a.txt") == "1"
    assert "Read-only" in await ask(pod, "write/etc/gloo/conf/deep/a.txt")
    assert "Read-only" in await ask(pod, "write/etc/other")
    await ask(pod, "write/tmp/mine")
    assert await ask(pod, "file/tmp/mine") == "written"
    assert not exists("/etc/gloo")
    assert not exists("/tmp/mine")
    await cluster.kube.apply(secret(where, "cert", **{"tls.key": "two"}), config_map(where, "conf", a="3"))

    async def followed() -> bool:
        return [await ask(pod, f"file/etc/gloo/{name}") for name in ("tls/tls.key", "conf/deep/a.txt")] == ["two", "3"]

    await until(followed, why="the files are the new ones")


async def test_the_environment_is_that_of_the_manifest(cluster: Cluster) -> None:
    where = "env"
    await cluster.kube.apply(
        namespace(where), secret(where, "keys", one="1", two="2"), config_map(where, "conf", MODE="fast")
    )
    env = [
        {"name": "PLAIN", "value": "plain"},
        {"name": "ONE", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "one"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "none", "key": "one", "optional": True}}},
        {"name": "HOW", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "MODE"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "ALL", "value": "$(PLAIN)-$(HOW)-$$(PLAIN)-$(UNKNOWN)"},
    ]
    sources = [{"configMapRef": {"name": "conf"}}, {"prefix": "KEY_", "secretRef": {"name": "keys"}}]
    pod = await started(cluster, where, env=env, envFrom=sources, workingDir="/usr/lib")
    wanted = {
        "ONE": "1",
        "HOW": "fast",
        "POD": pod["metadata"]["name"],
        "NAMESPACE": where,
        "ADDRESS": pod["status"]["podIP"],
        "ALL": "plain-fast-$(PLAIN)-$(UNKNOWN)",
        "MODE": "fast",
        "KEY_two": "2",
    }
    assert {name: await ask(pod, f"env/{name}") for name in wanted} == wanted
    assert "KeyError" in await ask(pod, "env/NONE")
    assert await ask(pod, "cwd") == "/usr/lib"


async def test_what_is_missing_is_said_and_waited_for(cluster: Cluster) -> None:
    where = "missing"
    env = [{"name": "ONE", "valueFrom": {"secretKeyRef": {"name": "late", "key": "one"}}}]
    await cluster.kube.apply(namespace(where), deployment(where, "app", env=env))
    await cluster.kube.apply(deployment(where, "other", image="nobody/knows:1"))

    async def said(name: str, words: str) -> bool:
        found = await pods(cluster, where, name)
        states = [c["state"] for pod in found for c in pod["status"].get("containerStatuses", ())]
        return any(words in state.get("waiting", {}).get("message", "") for state in states)

    await until(lambda: said("app", "Secret missing/late does not exist; create it"), why="it says what it lacks")
    await until(lambda: said("other", "no image 'nobody/knows:1'"), why="it says that there is no such image")
    await cluster.kube.apply(secret(where, "late", one="1"))
    (pod,) = await ready_pods(cluster, where, "app")
    assert pod["status"]["phase"] == "Running"


async def test_a_pod_is_its_service_account_to_the_api_server(cluster: Cluster) -> None:
    where = "account"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
    metadata = {"name": "reader", "namespace": where}
    subject = {"kind": "ServiceAccount", **metadata}
    await cluster.kube.apply(
        namespace(where),
        config_map(where, "conf", a="seen"),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "reader"},
            "subjects": [subject],
        },
    )
    pod = await started(cluster, where, spec={"serviceAccountName": "reader"})
    assert await ask(pod, f"file{ACCOUNT}/namespace") == where
    conf = json.loads(await ask(pod, f"api/api/v1/namespaces/{where}/configmaps/conf"))
    assert conf["data"] == {"a": "seen"}
    assert "403" in await ask(pod, f"api/api/v1/namespaces/{where}/secrets")


async def test_containers_of_one_pod_share_its_loopback_and_nothing_else(cluster: Cluster) -> None:
    where = "pair"
    second: Object = {"name": "second", "image": "python", "args": [pods_app.__file__, "81"]}
    second["readinessProbe"] = HEALTH | {"httpGet": {"path": "/healthz", "port": 81}}
    first = {"name": "first", "image": "shell", "command": ["sh", "-c", "echo begun > /shared/first"]}
    shared = [{"name": "shared", "mountPath": "/shared"}]
    wanted = deployment(where, "app", volumeMounts=shared, readinessProbe=HEALTH)
    spec = wanted["spec"]["template"]["spec"]
    spec["containers"].append(second)
    spec["initContainers"] = [first | {"volumeMounts": shared}]
    spec["volumes"] = [{"name": "shared", "emptyDir": {}}]
    await cluster.kube.apply(namespace(where), wanted)
    (pod,) = await ready_pods(cluster, where, "app")

    assert await ask(pod, "get/http://127.0.0.1:81/") == pod["metadata"]["name"]
    assert await ask(pod, "file/shared/first") == "begun\n"
    await ask(pod, "write/tmp/mine")
    assert "500" in await ask(pod, "get/http://127.0.0.1:81/file/tmp/mine"), "files are the container's own"
