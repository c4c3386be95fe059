"""A door in front of an API server that is slow, busy or broken when a test says so. Everything else passes through."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fleet.fleet_network import until
from tests.kube.api_server import ADMIN, ApiServer

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_PASSED_BACK = ("content-type", "etag", "retry-after")
_NOT_PASSED_ON = ("host", "content-length", "transfer-encoding", "accept-encoding", "connection")


class Asked(NamedTuple):
    method: str
    path: str
    at: float  # seconds, of the loop's clock


class Fault(NamedTuple):
    status: int
    retry_after: int = 0

    def answer(self) -> Response:
        reason = {429: "TooManyRequests", 403: "Forbidden"}.get(self.status, "InternalError")
        body = {"kind": "Status", "status": "Failure", "message": "made up by a test", "reason": reason}
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        return JSONResponse(body | {"code": self.status}, self.status, headers)


class FaultyApi:
    """`fault(method, path)` says what is answered in place of the API server, None: nothing. `latency`: seconds before
    each answer.
    """

    def __init__(self, server: ApiServer, pki: Path) -> None:
        self._server, self._pki = server, pki
        self.fault: Callable[[str, str], Fault | None] = lambda _method, _path: None
        self.latency = 0.0
        self.asked: list[Asked] = []
        self.port = 0
        context = ssl.create_default_context(cafile=str(server.folder / "pki" / "ca.crt"))
        self._http = httpx.AsyncClient(base_url=server.url, verify=context, trust_env=False, timeout=None)

    def count(self, method: str, within: str = "") -> int:
        return sum(a.method == method and within in a.path for a in self.asked)

    def kubeconfig(self, user: str = ADMIN) -> Path:
        config = yaml.safe_load(self._server.kubeconfig(user).read_text())
        authority = str(self._pki / "ca.crt")
        door = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": authority}
        config["clusters"][0]["cluster"] = door
        path = self._server.folder / f"{user}-faulty.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    async def handle(self, request: Request) -> Response:
        path = request.url.path
        self.asked.append(Asked(request.method, path, asyncio.get_running_loop().time()))
        await asyncio.sleep(self.latency)
        if (fault := self.fault(request.method, path)) is not None:
            return fault.answer()
        headers = {k: v for k, v in request.headers.items() if k not in _NOT_PASSED_ON}
        sent = self._http.build_request(
            request.method, path, params=request.url.query, headers=headers, content=await request.body()
        )
        try:
            answer = await self._http.send(sent, stream=True)
        except httpx.ConnectError:  # as a load balancer does
            return Fault(503).answer()
        return StreamingResponse(_through(answer), answer.status_code, _chosen(answer.headers))

    async def close(self) -> None:
        await self._http.aclose()


async def _through(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    except httpx.HTTPError:
        return
    finally:
        await answer.aclose()


def _chosen(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in _PASSED_BACK if name in headers}


@asynccontextmanager
async def faulty_api(server: ApiServer, pki: Path | None = None) -> AsyncIterator[FaultyApi]:
    """`pki` has the certificate that it shows; absent: that of the API server."""
    pki = pki or server.folder / "pki"
    api = FaultyApi(server, pki)
    config = uvicorn.Config(
        Starlette(routes=[Route("/{path:path}", api.handle, methods=_METHODS)]),
        port=0,
        ssl_certfile=str(pki / "server.crt"),
        ssl_keyfile=str(pki / "server.key"),
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=0,
    )
    door = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(door._serve())  # without the signals, which belong to pytest
        try:
            await until(lambda: door.started, why="the door is open")
            api.port = door.servers[0].sockets[0].getsockname()[1]
            yield api
        finally:
            door.should_exit = door.force_exit = True
            await asyncio.wait([serving], timeout=5)
            serving.cancel()
            await api.close()
