"""Stands in for an API server: it answers paths as a test says, and its watches stay open until they are left."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from fingerpost.cluster.kubernetes.api import Api
from fingerpost.cluster.kubernetes.credentials import Credentials

SECRETS = "/api/v1/secrets"
TABLES = "/apis/networking.gloo.solo.io/v2/routetables"
_KIND: dict[str, Any] = {"verbs": ["list", "watch"], "scope": "Namespaced"}
_EMPTY: dict[str, Any] = {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": []}


class ApiStandIn:
    """Lists nothing of what it serves. `answers`: by path what is said instead, a status and a body; a path in `silent`
    is answered when it is there no longer. `events`: what a watch begins with. `asked` counts all but watches.
    """

    def __init__(self) -> None:
        self.version = "v2"  # of route tables, empty: there is no such kind
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.events: dict[str, bytes] = {}
        self.silent: set[str] = set()
        self.asked: dict[str, int] = {}
        self._moved = asyncio.Condition()

    async def move(self) -> None:
        """What is silent is looked at anew."""
        async with self._moved:
            self._moved.notify_all()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if "watch" in request.query:
            stream = web.StreamResponse()
            await stream.prepare(request)
            if path in self.events:
                await stream.write(self.events[path])
            await asyncio.Event().wait()
        self.asked[path] = self.asked.get(path, 0) + 1
        async with self._moved:
            await self._moved.wait_for(lambda: path not in self.silent)
        if path in self.answers:
            status, body = self.answers[path]
            return web.Response(status=status, body=body, content_type="text/html")
        if path in ("/api", "/apis"):
            return web.json_response(self._served(path), headers={"Etag": f'"{self.version}"'})
        return web.json_response(_EMPTY)

    def _served(self, path: str) -> Mapping[str, Any]:
        secrets = _group("", "v1", {**_KIND, "resource": "secrets", "responseKind": {"kind": "Secret"}})
        tables = {**_KIND, "resource": "routetables", "responseKind": {"kind": "RouteTable"}}
        if path == "/api":
            return {"items": [secrets]}
        return {"items": [_group("networking.gloo.solo.io", self.version, tables)] if self.version else []}


def _group(name: str, version: str, resource: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"metadata": {"name": name}, "versions": [{"version": version, "resources": [resource]}]}


@asynccontextmanager
async def standing_in(server: ApiStandIn) -> AsyncIterator[Api]:
    handlers = web.Server(server.handle, handler_cancellation=True)  # type: ignore[arg-type]
    runner = web.ServerRunner(handlers, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()

    async def nobody() -> str:
        return ""

    host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    api = Api(Credentials(host, ssl.create_default_context(), nobody, {}))
    try:
        yield api
    finally:
        await api.close()
        await runner.cleanup()


def listed(*objects: Mapping[str, Any]) -> tuple[int, bytes]:
    return 200, json.dumps({**_EMPTY, "items": objects}).encode()
