"""Secrets of one namespace of an API server, each by its name: rights can be granted with resourceNames."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Collection
from typing import Any

import msgspec
import structlog

from fingerpost.cluster.kubernetes.answers import Named
from fingerpost.cluster.kubernetes.api import APPLY, Api, ApiFailed
from fingerpost.secrets.protocol import BLOCKLIST, Data, SecretForbidden, SecretsFailed

log = structlog.get_logger()
_WATCH = 300  # seconds, then the API server is asked anew
_AGAIN = 2.0
_FORBIDDEN = 403


class _Object(msgspec.Struct, frozen=True):
    metadata: Named  # without it nothing is known of the data
    data: dict[str, str] | None = None


_decoder = msgspec.json.Decoder(_Object)


class KubernetesSecrets:
    def __init__(self, api: Api, namespace: str, manager: str) -> None:
        self._api, self._namespace, self._manager = api, namespace, manager

    @property
    def where(self) -> str:
        return f"namespace {self._namespace} of {self._api.where}"

    def _path(self, name: str) -> str:
        return f"/api/v1/namespaces/{self._namespace}/{'configmaps' if name == BLOCKLIST else 'secrets'}"

    async def get(self, name: str) -> Data:
        try:
            said = await self._api.get(f"{self._path(name)}/{name}", _decoder.decode)
        except ApiFailed as failed:
            if failed.status == 404:
                return {}
            kind = SecretForbidden if failed.status == _FORBIDDEN else SecretsFailed
            raise kind(f"secret {name} in {self.where} cannot be read: {failed}") from failed
        found = said.data or {}
        return dict.fromkeys(found, b"") if name == BLOCKLIST else {k: base64.b64decode(v) for k, v in found.items()}

    async def put(self, name: str, data: Data) -> None:
        query = {"fieldManager": self._manager, "force": "true"}
        try:
            await self._api.patch(f"{self._path(name)}/{name}", self._object(name, data), APPLY, _decoder.decode, query)
        except ApiFailed as failed:
            raise SecretsFailed(f"secret {name} in {self.where} cannot be written: {failed}") from failed

    async def create(self, name: str, data: Data) -> bool:
        try:
            query = {"fieldManager": self._manager}
            await self._api.post(self._path(name), self._object(name, data), _decoder.decode, query)
        except ApiFailed as failed:
            if failed.status == 409:
                return False
            raise SecretsFailed(f"secret {name} in {self.where} cannot be created: {failed}") from failed
        return True

    async def watch(self, names: Collection[str]) -> AsyncIterator[str]:
        changed: dict[str, None] = {}
        wake = asyncio.Event()

        def saw(name: str) -> None:
            changed[name] = None
            wake.set()

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._follow(name, saw), name=f"secrets.{name}") for name in names]
            try:
                while True:
                    await wake.wait()
                    wake.clear()
                    while changed:
                        yield changed.popitem()[0]
            except GeneratorExit:
                return  # a task group would wrap it, and whoever closes the watch would see an error
            finally:
                for task in tasks:
                    task.cancel()

    async def _follow(self, name: str, saw: Any) -> None:
        """A watch without a version begins with what is there."""
        query = {"fieldSelector": f"metadata.name={name}"}
        complaint = ""
        while True:
            saw(name)
            try:
                async with self._api.watching(self._path(name), query, _WATCH) as lines:
                    complaint = ""
                    async for line in lines:
                        if b'"BOOKMARK"' not in line[:40]:
                            saw(name)
            except ApiFailed as failed:
                if str(failed) != complaint:
                    complaint = str(failed)
                    log.warning("secrets.watch.failed", resource=name, reason=complaint)
            await asyncio.sleep(_AGAIN)

    def _object(self, name: str, data: Data) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": self._namespace},
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
