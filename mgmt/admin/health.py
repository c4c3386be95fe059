"""Liveness and readiness (relay.md §13.1): on the admin port, and alone on the port that the Service shows."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mgmt.admin.answers import answer
from mgmt.admin.ports import Plane


class Health:
    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    @property
    def routes(self) -> list[Route]:
        return [Route("/healthz", self._healthz), Route("/readyz", self._readyz)]

    async def _healthz(self, _: Request) -> Response:
        return answer({"status": "ok", "checks": [{"name": "eventLoop", "ok": True}]})

    async def _readyz(self, _: Request) -> Response:
        """Redis away does not make a server unready, not even at its start (relay.md §6.3): it works from memory, and
        its agents need it.
        """
        serving, synced = self._plane.serving(), self._plane.ingest.synced
        why = "" if serving else "the first translation is not done, or this server is about to stop"
        checks = [
            {"name": "serving", "ok": serving, "message": why},
            {"name": "redis", "ok": synced, "message": "" if synced else _without_redis(self._plane)},
        ]
        return answer({"status": "ok" if serving else "not ready", "checks": checks}, 200 if serving else 503)


def _without_redis(plane: Plane) -> str:
    if plane.ingest.reached:
        return f"{plane.ingest.trouble or 'redis is away'}; going on from memory"
    return "redis has not been reached since the start: only agents that are connected here are known"


def health_app(plane: Plane) -> Starlette:
    return Starlette(routes=Health(plane).routes)
