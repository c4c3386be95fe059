"""The agent's HTTP side. Everything but health and metrics answers to loopback callers only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.admin import dumps
from agent.apply.gateway import GatewayState
from agent.relay.facts import Facts
from agent.xds.bootstrap import bootstrap
from agent.xds.tokens import GatewayTokens
from fingerpost import __version__, debugging
from fingerpost.loopback import is_loopback
from fingerpost.objects import canonical


class AgentView(Protocol):
    """What the agent tells of itself."""

    @property
    def cluster(self) -> str: ...

    @property
    def xds_address(self) -> str: ...

    @property
    def tokens(self) -> GatewayTokens: ...

    def checks(self) -> Mapping[str, bool]: ...

    @property
    def ready(self) -> bool: ...

    def gateways(self) -> list[dict[str, Any]]: ...

    def release(self, gateway: str) -> bool: ...  # whether anything was held

    async def release_folder(self) -> int: ...

    def findings(self) -> list[dict[str, str]]: ...

    @property
    def facts(self) -> Facts: ...

    @property
    def config_version(self) -> int: ...

    def served(self) -> Mapping[str, GatewayState]: ...

    def queues(self) -> Mapping[str, Any]: ...


class Admin(NamedTuple):
    agent: AgentView
    exposition: Callable[[], bytes]

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"checks": {"process": True}})

    async def readyz(self, request: Request) -> Response:
        return JSONResponse({"checks": self.agent.checks()}, status_code=200 if self.agent.ready else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self.exposition(), media_type="text/plain; version=0.0.4")

    async def version(self, request: Request) -> Response:
        return JSONResponse({"component": "agent", "version": __version__, "cluster": self.agent.cluster})

    async def gateways(self, request: Request) -> Response:
        return JSONResponse({"cluster": self.agent.cluster, "gateways": self.agent.gateways()})

    async def findings(self, request: Request) -> Response:
        return JSONResponse({"cluster": self.agent.cluster, "findings": self.agent.findings()})

    async def input(self, request: Request) -> Response:
        return _sorted(dumps.input_snapshot(self.agent.cluster, self.agent.facts, _part(request)))

    async def output(self, request: Request) -> Response:
        agent = self.agent
        collected = dumps.collect(agent.served(), _part(request))
        return _sorted(await asyncio.to_thread(dumps.output_snapshot, agent.cluster, agent.config_version, collected))

    async def debug(self, request: Request) -> Response:
        types = request.query_params.get("types", "0")
        found = debugging.page(request.path_params["page"], types, {"queues": self.agent.queues})
        if found is None:
            message = f"{request.url.path} is no page; /debug/ lists them"
            return JSONResponse({"error": message}, status_code=404)
        return _sorted(found)

    async def release(self, request: Request) -> Response:
        """Lifts this agent's own guards: of one gateway, or of all and of its folder."""
        gateway = request.query_params.get("gateway", "")
        names = [gateway] if gateway else [g["name"] for g in self.agent.gateways()]
        released = [name for name in names if self.agent.release(name)]
        objects = 0 if gateway else await self.agent.release_folder()
        return JSONResponse({"gateways": released, "objects": objects})

    async def bootstrap(self, request: Request) -> Response:
        query = request.query_params
        gateway = query.get("gateway", "")
        if gateway.count("/") != 1:
            message = f'gateway is "{gateway}", it must be NAMESPACE/NAME of the gateway\'s Service'
            return JSONResponse({"error": message}, status_code=400)
        try:
            admin_port = int(query.get("admin_port", "0"))
        except ValueError:
            message = f'admin_port is "{query["admin_port"]}", it must be a number'
            return JSONResponse({"error": message}, status_code=400)
        try:
            token = self.agent.tokens.ensure(gateway)
        except OSError as failed:
            message = f"the token of {gateway} cannot be kept: {failed}; make room or repair the folder, and ask again"
            return JSONResponse({"error": message}, status_code=503)
        return JSONResponse(
            bootstrap(
                self.agent.xds_address,
                gateway,
                self.agent.cluster,
                token,
                bind=query.get("bind", ""),
                admin_port=admin_port,
                instance=query.get("instance", "proxy-0"),
                delta=query.get("delta", "true") != "false",
            )
        )


def _part(request: Request) -> dumps.Part:
    return dumps.Part(request.query_params.get("type", ""), request.query_params.get("namespace", ""))


def _sorted(value: Any) -> Response:
    """Two dumps can be compared with `diff`."""
    return Response(canonical(value), media_type="application/json")


def _local(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
    async def guarded(request: Request) -> Response:
        if request.client is None or not is_loopback(request.client.host):
            return JSONResponse({"error": "this answers to loopback callers only"}, status_code=403)
        answer: Response = await handler(request)
        return answer

    return guarded


def admin_app(agent: AgentView, exposition: Callable[[], bytes]) -> Starlette:
    admin = Admin(agent, exposition)
    return Starlette(
        routes=[
            Route("/healthz", admin.healthz),
            Route("/readyz", admin.readyz),
            Route("/metrics", admin.metrics),
            Route("/version", _local(admin.version)),
            Route("/gateways", _local(admin.gateways)),
            Route("/findings", _local(admin.findings)),
            Route("/bootstrap", _local(admin.bootstrap)),
            Route("/snapshots/input", _local(admin.input)),
            Route("/snapshots/output", _local(admin.output)),
            Route("/debug/{page:path}", _local(admin.debug)),
            Route("/release", _local(admin.release), methods=["POST"]),
        ]
    )
