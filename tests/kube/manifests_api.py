"""Manifests put to an API server, and what it says of them."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import httpx

from fingerpost.api.kinds import BY_TYPE, Kind
from fingerpost.objects import type_of
from tests.kube.api_server import ADMIN, ApiServer

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_UNKNOWN = re.compile(r'unknown field \\?"([^"\\]+)')


class Verdict(NamedTuple):
    """`causes` are (field, message); `unknown` the paths of fields that are dropped."""

    status: int
    causes: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    message: str = ""
    stored: Mapping[str, Any] = {}

    @property
    def refused(self) -> bool:
        assert self.status in (200, 201, 422, 400), self
        return self.status >= 400


class ManifestsApi:
    """As the administrator. Nothing stays but definitions and namespaces: objects are tried, not stored."""

    def __init__(self, server: ApiServer) -> None:
        self._http = httpx.Client(
            base_url=server.url,
            verify=ssl.create_default_context(cafile=str(server.folder / "pki" / "ca.crt")),
            headers={"Authorization": f"Bearer {server.token(ADMIN)}"},
            trust_env=False,
            timeout=30,
        )
        self._namespaces: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def define(self, definition: Mapping[str, Any]) -> Verdict:
        return _verdict(self._http.post(_DEFINITIONS, json=definition))

    def conditions(self) -> dict[str, set[str]]:
        """By definition, the conditions that are true."""
        items = self._http.get(_DEFINITIONS).json()["items"]
        return {
            item["metadata"]["name"]: {
                one["type"] for one in item.get("status", {}).get("conditions", []) if one["status"] == "True"
            }
            for item in items
        }

    def serves(self, kind: Kind) -> bool:
        return self._http.get(f"/apis/{kind.api_version}/{kind.plural}").status_code == httpx.codes.OK

    def columns(self, kind: Kind) -> list[str]:
        """Of `kubectl get`, without those that only `-o wide` shows."""
        accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        found = self._http.get(f"/apis/{kind.api_version}/{kind.plural}", headers=accept).json()
        return [column["name"] for column in found["columnDefinitions"] if column["priority"] == 0]

    def try_out(self, manifest: Mapping[str, Any]) -> Verdict:
        """A creation with all checks that is not carried out."""
        kind = BY_TYPE[type_of(manifest["apiVersion"], manifest["kind"])]
        namespace = manifest["metadata"].get("namespace", "default")
        self._ensure(namespace)
        answer = self._http.post(
            f"/apis/{kind.api_version}/namespaces/{namespace}/{kind.plural}",
            params={"dryRun": "All", "fieldValidation": "Warn"},
            content=json.dumps(manifest, ensure_ascii=False).encode(),
            headers={"Content-Type": "application/json"},
        )
        return _verdict(answer)

    def _ensure(self, namespace: str) -> None:
        if namespace not in self._namespaces:
            self._http.post("/api/v1/namespaces", json={"metadata": {"name": namespace}})
            self._namespaces.add(namespace)


def _verdict(answer: httpx.Response) -> Verdict:
    body = answer.json()
    causes = (body.get("details") or {}).get("causes") or ()
    unknown = [path for line in answer.headers.get_list("Warning") for path in _UNKNOWN.findall(line)]
    return Verdict(
        answer.status_code,
        tuple((cause.get("field", ""), cause.get("message", "")) for cause in causes),
        tuple(unknown),
        str(body.get("message", "")) if answer.is_error else "",
        {} if answer.is_error else body,
    )
