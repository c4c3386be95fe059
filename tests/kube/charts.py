"""The charts as Helm renders them, and what an API server says of the result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml
from helm_python.chart import Chart, lint

from tests.kube.kube_client import KubeClient, Object

ROOT = Path(__file__).parents[2]
PLATFORM, CRDS = ROOT / "charts" / "gloo-platform", ROOT / "charts" / "gloo-platform-crds"
NAMESPACE = "gloo-mesh"
VALUES = sorted((ROOT / "tests" / "data" / "values").glob("*.yaml"))
NAMES = [file.stem for file in VALUES]
_NOTES = "NOTES.txt"


def values(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "data" / "values" / f"{name}.yaml").read_text())
    return found


def faults(chart: Path, given: Mapping[str, Any]) -> list[str]:
    """Warnings and errors of `helm lint --strict`."""
    messages = lint(chart, dict(given), strict=True)["messages"]
    return [f"{m['path']}: {m['error']}" for m in messages if m["severity"] > 1]


class Rendered:
    """`objects` in the order of their files; `notes` is what a person is told."""

    def __init__(self, given: Mapping[str, Any], chart: Path = PLATFORM, namespace: str = NAMESPACE) -> None:
        with Chart.load(chart) as loaded:
            files = loaded.render(dict(given), name=chart.name, namespace=namespace)
        self.notes = "".join(text for name, text in files.items() if name.endswith(_NOTES))
        self.objects: list[Object] = [
            obj
            for name, text in sorted(files.items())
            if not name.endswith(_NOTES)
            for obj in yaml.safe_load_all(text)
            if obj
        ]

    def all(self, kind: str) -> list[Object]:
        return [obj for obj in self.objects if obj["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        (found,) = [obj for obj in self.all(kind) if obj["metadata"]["name"] == name]
        return found

    def names(self, kind: str) -> set[str]:
        return {obj["metadata"]["name"] for obj in self.all(kind)}

    def warnings(self) -> list[str]:
        return [line.removeprefix("WARNING: ") for line in self.notes.splitlines() if line.startswith("WARNING: ")]


def environment(deployment: Object) -> dict[str, Any]:
    """Of its first container: the value, or where it comes from."""
    entries = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in entries}


class Paths:
    """Where an object is written: asked of the API server, for whatever kind."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._known: dict[str, dict[str, Object]] = {}

    async def of(self, obj: Object) -> str:
        version, metadata = obj["apiVersion"], obj["metadata"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if version not in self._known:
            answer = await self._kube.http.get(base)
            assert answer.is_success, f"{version} is not served: {answer.text}"
            self._known[version] = {r["kind"]: r for r in answer.json()["resources"] if "/" not in r["name"]}
        resource = self._known[version][obj["kind"]]
        where = f"/namespaces/{metadata['namespace']}" if resource["namespaced"] else ""
        return f"{base}{where}/{resource['name']}/{metadata['name']}"

    async def apply(self, obj: Object, *, dry_run: bool = False) -> httpx.Response:
        """Server-side, refusing fields that the kind does not have."""
        query = {"fieldManager": "helm", "force": "true", "fieldValidation": "Strict"}
        return await self._kube.http.patch(
            await self.of(obj),
            params=query | ({"dryRun": "All"} if dry_run else {}),
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=json.dumps(obj),
        )


def pods(objects: Iterable[Object]) -> Iterator[Object]:
    """The pods that Deployments would make."""
    for obj in objects:
        if obj["kind"] == "Deployment":
            template = obj["spec"]["template"]
            metadata = {**template["metadata"], "name": obj["metadata"]["name"]}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
