"""Releases as Helm makes them on a real API server: install, upgrade, uninstall."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python.chart import Chart
from helm_python.config import Config

from fingerpost.api.kinds import KINDS
from tests.fleet.fleet_network import until
from tests.kube.api_server import ApiServer, running_api_server
from tests.kube.charts import CRDS, NAMESPACE, PLATFORM, Paths, Rendered, values
from tests.kube.kube_client import KubeClient, Object, namespace, open_crd, route_table, secret

_KINDS = ("KubernetesCluster", "Workspace", "RouteTable")
_SECRETS = (
    "relay-root-tls-secret",
    "relay-server-tls-secret",
    "relay-tls-signing-secret",
    "relay-identity-token-secret",
)


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[ApiServer]:
    async with running_api_server("one", folder) as server:
        yield server


@contextmanager
def helm(server: ApiServer, where: str = NAMESPACE) -> Iterator[Config]:
    with Config(kubeconfig_path=server.kubeconfig(), namespace=where) as config:
        yield config


def crds_chart(folder: Path, *crds: Object) -> Path:
    """The chart with these definitions."""
    copy = folder / CRDS.name
    shutil.copytree(CRDS, copy, dirs_exist_ok=True)
    shutil.rmtree(copy / "definitions", ignore_errors=True)
    (copy / "definitions").mkdir()
    for crd in crds:
        (copy / "definitions" / f"{crd['metadata']['name']}.yaml").write_text(yaml.safe_dump(crd))
    return copy


def definitions() -> list[Object]:
    return [open_crd(kind.kind, kind.plural, kind.group) for kind in KINDS if kind.kind in _KINDS]


def install(config: Config, chart: Path, given: dict[str, Any], *, upgrade: bool = False) -> dict[str, Any]:
    with Chart.load(chart) as loaded:
        act = config.upgrade if upgrade else config.install
        return act(loaded, chart.name, given)


async def generations(kube: KubeClient, given: dict[str, Any]) -> dict[str, int]:
    """A Deployment makes new pods when its generation has changed, and only then."""
    found = {}
    for deployment in Rendered(given).all("Deployment"):
        answer = await kube.http.get(await Paths(kube).of(deployment))
        found[deployment["metadata"]["name"]] = answer.json()["metadata"]["generation"]
    return found


async def test_kinds_are_installed_upgraded_and_removed_by_their_chart(server: ApiServer, tmp_path: Path) -> None:
    old, new = open_crd(), open_crd()
    new["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["description"] = "{{ as it stands }}"
    async with KubeClient(server) as kube:
        await kube.apply(namespace(NAMESPACE))
        with helm(server) as config:
            install(config, crds_chart(tmp_path, old), {})
            await kube.served(old)
            install(config, crds_chart(tmp_path, new), {"rbac": {"aggregate": True}}, upgrade=True)
            found = (await kube.get(new))["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            assert found["description"] == "{{ as it stands }}"
            config.uninstall(CRDS.name)

        async def gone() -> bool:
            path = await Paths(kube).of(new)
            return (await kube.http.get(path)).status_code == 404

        await until(gone, why="the kind is gone")


@pytest.mark.parametrize("name", ["reference-management", "reference-agent"])
@pytest.mark.spec("M-81")
async def test_values_written_for_the_reference_install_with_warnings_only(
    server: ApiServer, tmp_path: Path, name: str
) -> None:
    async with KubeClient(server) as kube:
        await kube.apply(namespace(NAMESPACE))
        with helm(server) as config:
            install(config, crds_chart(tmp_path, *definitions()), {})
            await kube.served(*definitions())
            release = install(config, PLATFORM, values(name))
        assert release["status"] == "deployed"
        notes = release["notes"]
        warned = [line for line in notes.splitlines() if line.startswith("WARNING: ")]
        assert warned
        assert "canary" not in notes
        expected = Rendered(values(name))
        assert warned == [f"WARNING: {line}" for line in expected.warnings()]
        for obj in expected.objects:
            answer = await kube.http.get(await Paths(kube).of(obj))
            assert answer.is_success, answer.text


@pytest.mark.spec("M-82", "M-83")
async def test_an_upgrade_changes_nothing_and_an_uninstall_leaves_what_is_the_users(
    server: ApiServer, tmp_path: Path
) -> None:
    given, mine = values("register-cluster"), [secret(NAMESPACE, name, key="mine") for name in _SECRETS]
    table = route_table("shop", "www", "a.example")
    async with KubeClient(server) as kube:
        await kube.apply(namespace(NAMESPACE), namespace("shop"), *mine)
        with helm(server) as config:
            install(config, crds_chart(tmp_path, *definitions()), {})
            await kube.served(*definitions())
            install(config, PLATFORM, given)
            await kube.apply(table)
            before = await generations(kube, given)
            secrets = [(await kube.get(one))["metadata"]["resourceVersion"] for one in mine]
            install(config, PLATFORM, given, upgrade=True)
            assert await generations(kube, given) == before
            assert set(before.values()) == {1}
            changed = {**given, "common": {**given["common"], "verbose": True}}
            install(config, PLATFORM, changed, upgrade=True)
            assert {name for name, n in (await generations(kube, given)).items() if n == 2} == {
                "gloo-mesh-mgmt-server",
                "gloo-mesh-agent",
            }
            config.uninstall(PLATFORM.name)
        for obj in Rendered(given).objects:
            answer = await kube.http.get(await Paths(kube).of(obj))
            assert answer.status_code == 404 or answer.json()["metadata"].get("deletionTimestamp"), answer.text
        assert [(await kube.get(one))["metadata"]["resourceVersion"] for one in mine] == secrets
        assert (await kube.get(table))["spec"]["hosts"] == ["a.example"]
        await kube.served(*definitions())
