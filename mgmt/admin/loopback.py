"""The port has no authentication, so all but health and metrics answers only to callers on the same machine (M-78)."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from fingerpost.loopback import is_loopback
from mgmt.admin.answers import error

OPEN = ("/healthz", "/readyz", "/metrics")


class LoopbackOnly:
    """A caller without an address came over a unix socket. A web page (Origin) may not give orders either."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _open(scope["path"]):
            client = scope.get("client")
            if client is not None and not is_loopback(client[0]):
                message = f"{scope['path']} answers only callers on loopback, not {client[0]}; use a port-forward"
                await error(403, "NotLoopback", message)(scope, receive, send)
                return
            if any(name == b"origin" for name, _ in scope["headers"]):
                await error(403, "WebPage", "web pages may not use this API")(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _open(path: str) -> bool:
    return any(path == p or path.startswith(f"{p}/") for p in OPEN)
