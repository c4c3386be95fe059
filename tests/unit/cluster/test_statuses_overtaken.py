"""The watch may be faster than the answer to a write: what it has told of later versions counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fingerpost.cluster.kubernetes.discovery import Resource
from fingerpost.cluster.kubernetes.statuses import Statuses
from fingerpost.objects import ObjectKey

KEY = ObjectKey("admin.gloo.solo.io/KubernetesCluster", "mgmt", "gloo-mesh", "east")
RESOURCE = Resource(KEY.type, "admin.gloo.solo.io/v2", "kubernetesclusters", namespaced=True, status=True)


class Api:
    """Answers as an API server does; `meanwhile` happens between its write and its answer."""

    def __init__(self) -> None:
        self.version = 5
        self.meanwhile: Callable[[], None] = lambda: None
        self.taken: list[str] = []

    async def patch(
        self, path: str, body: Mapping[str, Any], kind: str, decode: Callable[[bytes], Any], query: object
    ) -> Any:
        assert body["metadata"]["resourceVersion"] == str(self.version), "a real one answers 409"
        self.version += 1
        self.taken.append(body["status"]["state"])
        answer = json.dumps(self.object(body["status"])).encode()
        self.meanwhile()
        return decode(answer)

    def object(self, status: Mapping[str, Any] | None = None) -> dict[str, Any]:
        metadata = {"name": KEY.name, "namespace": KEY.namespace, "generation": 1, "uid": "one"}
        metadata |= {"resourceVersion": str(self.version)}
        return {"metadata": metadata, **({"status": status} if status else {})}


@pytest.mark.spec("M-57")
async def test_a_later_edit_that_was_seen_before_the_answer_does_not_stop_the_next_status() -> None:
    api = Api()
    statuses = Statuses(api, "server")  # type: ignore[arg-type]
    statuses.saw(KEY, api.object(), edited=True)

    def somebody_adds_an_annotation() -> None:
        api.version += 1
        statuses.saw(KEY, api.object({"state": "one"}), edited=True)

    api.meanwhile = somebody_adds_an_annotation
    assert await statuses.write(RESOURCE, KEY, {"state": "one"})
    api.meanwhile = lambda: None
    assert await statuses.write(RESOURCE, KEY, {"state": "two"})
    assert api.taken == ["one", "two"]
