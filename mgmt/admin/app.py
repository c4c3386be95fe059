"""The admin API on port 9091 of loopback: parses, asks, answers. `/metrics` is mounted by whoever serves it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mgmt.admin.answers import Refused, answer, http_error, refused
from mgmt.admin.checks import check
from mgmt.admin.clusters import clusters_json, registered_names
from mgmt.admin.explaining import explain
from mgmt.admin.health import Health
from mgmt.admin.loopback import LoopbackOnly
from mgmt.admin.objects import matching, shown, wanted
from mgmt.admin.ports import Plane
from mgmt.admin.reach import Reach
from mgmt.admin.reports import report, reports_json
from mgmt.admin.snapshots import Part, collect, input_snapshot, output_snapshot, states_of
from mgmt.admin.waiting import Condition, wait

_BREATH = 200  # objects between two turns of the event loop, so that a long list delays no agent
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s?)?")
_MILLIS = re.compile(r"(\d+(?:\.\d+)?)ms")
_order = msgspec.json.Decoder(dict[str, Any])


def app(plane: Plane) -> Starlette:
    """Health and metrics answer everybody, all else answers callers on loopback only."""
    api = _Api(plane)
    routes = [
        *Health(plane).routes,
        Route("/version", api.version),
        Route("/clusters", api.clusters),
        Route("/objects", api.objects),
        Route("/reports", api.reports),
        Route("/check", api.check),
        Route("/wait", api.wait),
        Route("/release", api.release, methods=["POST"]),
        Route("/explain/route", api.explain, methods=["POST"]),
        Route("/snapshots/input", api.input),
        Route("/snapshots/output", api.output),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(LoopbackOnly)],
        exception_handlers={Refused: refused, HTTPException: http_error},
    )


class _Api:
    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    async def version(self, _: Request) -> Response:
        plane = self._plane
        agents = [
            {"cluster": name, "version": state.version}
            for name, state in sorted(plane.ingest.states.clusters.items())
            if state.version
        ]
        server = {"namespace": plane.admin_namespace, "component": "mgmt-server", "version": plane.version}
        return answer(
            {
                "server": server | {"replica": plane.replica},
                "agents": agents,
                "configVersion": plane.publisher.config_version,
            }
        )

    async def clusters(self, _: Request) -> Response:
        return answer(clusters_json(self._plane))

    async def objects(self, request: Request) -> Response:
        query = request.query_params
        what, detail = wanted(query), query.get("detail") == "true"
        plane, reach = self._plane, Reach(self._plane)
        items = []
        for count, (key, stored) in enumerate(list(matching(plane, what)), 1):
            item = shown(plane, reach, key, stored, detail=detail)
            if detail:
                item["report"] = report(plane, reach, key, plane.translator.status(key))
            items.append(item)
            if not count % _BREATH:
                await asyncio.sleep(0)
                reach = Reach(plane)
        kind = {"group": what.kind.group, "kind": what.kind.kind, "plural": what.kind.plural}
        return answer(_who(plane) | {"kind": kind, "items": items})

    async def reports(self, request: Request) -> Response:
        keys = [k for k, _ in matching(self._plane, wanted(request.query_params))] if request.query_params else None
        found = reports_json(self._plane, Reach(self._plane), keys)
        return answer({"replica": self._plane.replica, "items": found})

    async def check(self, _: Request) -> Response:
        return answer(await check(self._plane))

    async def wait(self, request: Request) -> Response:
        query = request.query_params
        what = wanted(query)
        if not what.name:
            raise Refused(400, "NameMissing", "the parameter name is missing: wait is for one object")
        word = query.get("for", Condition.APPLIED.value)
        if word not in tuple(Condition):
            raise Refused(400, "UnknownCondition", f'for is "{word}", it must be applied or accepted')
        condition = Condition(word)
        found = await wait(self._plane, what, condition, duration(query.get("timeout", "10s")))
        return answer(_who(self._plane) | found.as_json(what, condition))

    async def release(self, request: Request) -> Response:
        order = await _body(request)
        cluster = order.get("cluster")
        plane = self._plane
        known = {plane.management, *plane.ingest.states.clusters, *registered_names(plane)}
        if not isinstance(cluster, str) or cluster not in known:
            message = f'cluster is "{cluster}", it must be one of {", ".join(sorted(known))}'
            raise Refused(404, "UnknownCluster", message)
        contributions = plane.publisher.release(cluster, plane.publisher.config_version)
        objects = await plane.release_folder() if cluster == plane.management else 0
        return answer({"cluster": cluster, "contributions": sorted(contributions), "objects": objects})

    async def explain(self, request: Request) -> Response:
        return answer(explain(self._plane, await _body(request)))

    async def input(self, request: Request) -> Response:
        return answer(input_snapshot(self._plane, _part(request)))

    async def output(self, request: Request) -> Response:
        part = _part(request)
        states, revision = states_of(self._plane, part), self._plane.publisher.config_version
        collected = collect(self._plane, part)
        return answer(await asyncio.to_thread(output_snapshot, states, revision, collected))


def _who(plane: Plane) -> dict[str, Any]:
    """`connected` tells about which clusters' gateways this replica has the last word."""
    connected = [name for name in sorted(plane.ingest.states.clusters) if plane.ingest.owns(name)]
    return {"replica": plane.replica, "version": plane.version, "connected": connected}


def _part(request: Request) -> Part:
    query = request.query_params
    return Part(query.get("cluster", ""), query.get("type", ""), query.get("namespace", ""))


async def _body(request: Request) -> dict[str, Any]:
    try:
        return _order.decode(await request.body())
    except msgspec.MsgspecError as e:
        raise Refused(400, "NotJson", f"the body must be a JSON object: {e}") from e


def duration(text: str) -> float:
    """Seconds of `10s`, `500ms`, `1m30s` or `10`. Raises Refused."""
    if millis := _MILLIS.fullmatch(text):
        return float(millis[1]) / 1000
    found = _DURATION.fullmatch(text)
    if not found or not text:
        raise Refused(400, "BadDuration", f'timeout is "{text}"; write for instance 10s, 500ms or 1m30s')
    return float(found[1] or 0) * 60 + float(found[2] or 0)
