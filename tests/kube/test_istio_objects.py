"""Every object of the golden cases is taken by a real API server with Istio's CRDs, and by Istio's own validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kube.api_server import running_api_server
from tests.kube.istiod import running_istiod
from tests.kube.kube_client import KubeClient, namespace

GOLDEN = Path(__file__).parents[1] / "golden"
LABELS = 14


def golden_objects() -> dict[str, dict[str, Any]]:
    """Text -> object, each once."""
    files = [f for f in sorted(GOLDEN.glob("*/*/*.istio.out.yaml")) if not f.name.startswith("limits.")]
    return {yaml.safe_dump(obj): obj for f in files for obj in yaml.safe_load_all(f.read_text())}


@pytest.mark.spec("M-5")
async def test_emitted_objects_are_taken(folder: Path) -> None:
    objects = list(golden_objects().values())
    assert {obj["kind"] for obj in objects} == {
        "Gateway",
        "VirtualService",
        "DestinationRule",
        "EnvoyFilter",
        "ServiceEntry",
        "WorkloadEntry",
    }
    async with running_api_server("one", folder) as server, KubeClient(server) as kube:
        namespaces = sorted({obj["metadata"]["namespace"] for obj in objects})
        await kube.apply(*(namespace(n) for n in namespaces))
        async with running_istiod(server, kube, "one") as istiod:
            for obj in objects:
                (stored,) = await kube.apply(obj, manager="fingerpost-agent")
                assert stored["spec"] == obj["spec"], "nothing is dropped or changed"
                assert len(stored["metadata"]["labels"]) == LABELS
                said = await istiod.refusal(obj)
                assert not said, f"{obj['kind']} {obj['metadata']['name']}: {said}"
