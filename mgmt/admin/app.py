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

from fingerpost import debugging
from fingerpost.api.likeness import did_you_mean
from mgmt.admin import history
from mgmt.admin.answers import Refused, answer, http_error, refused
from mgmt.admin.checks import check
from mgmt.admin.clusters import cluster_detail, clusters_json, registered_names
from mgmt.admin.explaining import explain
from mgmt.admin.happened import happened
from mgmt.admin.health import Health
from mgmt.admin.history import revived_of
from mgmt.admin.loopback import LoopbackOnly
from mgmt.admin.objects import matching, shown, wanted
from mgmt.admin.ports import Plane, connected_here
from mgmt.admin.reach import Reach
from mgmt.admin.reports import report, reports_json
from mgmt.admin.snapshots import Part, about, collect, collect_input, input_snapshot, output_snapshot, states_of
from mgmt.admin.waiting import Condition, wait
from mgmt.admin.ways import turn, way

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
        Route("/clusters/{name}", api.cluster),
        Route("/objects", api.objects),
        Route("/reports", api.reports),
        Route("/check", api.check),
        Route("/wait", api.wait),
        Route("/release", api.release, methods=["POST"]),
        Route("/history", api.history),
        Route("/history/{number:int}", api.snapshot),
        Route("/history/{number:int}/diff", api.difference),
        Route("/rollback", api.rollback, methods=["POST"]),
        Route("/rollback/release", api.release_rollback, methods=["POST"]),
        Route("/explain/route", api.explain, methods=["POST"]),
        Route("/snapshots/input", api.input),
        Route("/snapshots/output", api.output),
        Route("/trace", api.trace),
        Route("/trace/{version:int}", api.version_trace),
        Route("/events", api.events),
        Route("/debug/{page:path}", api.debug),
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

    async def cluster(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = cluster_detail(self._plane, name)
        if found is None:
            near = did_you_mean(name, self._plane.ingest.states.clusters)
            raise Refused(404, "UnknownCluster", f"there is no cluster {name}{near}")
        return answer(_who(self._plane) | {"cluster": found})

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
        return answer(_who(plane) | {"kind": kind, "items": items, "rolledBack": revived_of(plane, what)})

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

    async def history(self, request: Request) -> Response:
        query = request.query_params
        limit = _number(query.get("limit", "20"), "limit")
        return answer(await history.history(self._plane, limit, wanted(query) if "kind" in query else None))

    async def snapshot(self, request: Request) -> Response:
        return answer(await history.snapshot(self._plane, request.path_params["number"]))

    async def difference(self, request: Request) -> Response:
        to = request.query_params.get("to", "")
        number = request.path_params["number"]
        return answer(await history.difference(self._plane, number, _number(to, "to") if to else None))

    async def rollback(self, request: Request) -> Response:
        return answer(await history.rollback(self._plane, await _body(request)))

    async def release_rollback(self, request: Request) -> Response:
        return answer(await history.release(self._plane, await _body(request)))

    async def explain(self, request: Request) -> Response:
        return answer(explain(self._plane, await _body(request)))

    async def input(self, request: Request) -> Response:
        part, plane = _part(request), self._plane
        states, collected = states_of(plane, part), collect_input(plane, part)
        said = about(plane, plane.ingest.seq)
        return await asyncio.to_thread(lambda: answer(input_snapshot(said, states, collected)))

    async def output(self, request: Request) -> Response:
        part, plane = _part(request), self._plane
        states, collected = states_of(plane, part), collect(plane, part)
        said = about(plane, plane.publisher.config_version)
        return await asyncio.to_thread(lambda: answer(output_snapshot(said, states, collected)))

    async def trace(self, request: Request) -> Response:
        what = wanted(request.query_params)
        return answer(_who(self._plane) | {"kind": what.kind.kind, "items": way(self._plane, what)})

    async def version_trace(self, request: Request) -> Response:
        version = request.path_params["version"]
        found = turn(self._plane, version)
        if found is None:
            message = f"config_version {version} changed nothing here, or is forgotten, or was before this server began"
            raise Refused(404, "UnknownVersion", message)
        return answer(_who(self._plane) | found)

    async def events(self, request: Request) -> Response:
        query = request.query_params
        since = query.get("since", "0")
        if not since.isdecimal():
            raise Refused(400, "BadSince", f'since is "{since}", it must be the id of an event')
        found = await happened(self._plane, int(since), query.get("cluster", ""), duration(query.get("wait", "0s")))
        return answer(_who(self._plane) | found)

    async def debug(self, request: Request) -> Response:
        types = request.query_params.get("types", "0")
        plane = self._plane
        own = {
            "engine": lambda: {"nodes": plane.translator.sizes()},
            "queues": lambda: {"journal": plane.journal.sizes, **plane.queues()},
        }
        found = debugging.page(request.path_params["page"], types, own)
        if found is None:
            raise Refused(404, "NoSuchPath", f"{request.url.path} is no page; /debug/ lists them")
        return answer(found)


def _who(plane: Plane) -> dict[str, Any]:
    return {"replica": plane.replica, "version": plane.version, "connected": connected_here(plane)}


def _part(request: Request) -> Part:
    query = request.query_params
    return Part(query.get("cluster", ""), query.get("type", ""), query.get("namespace", ""))


async def _body(request: Request) -> dict[str, Any]:
    try:
        return _order.decode(await request.body())
    except msgspec.MsgspecError as e:
        raise Refused(400, "NotJson", f"the body must be a JSON object: {e}") from e


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise Refused(400, "BadNumber", f'{name} is "{text}", it must be a whole number')
    return int(text)


def duration(text: str) -> float:
    """Seconds of `10s`, `500ms`, `1m30s` or `10`. Raises Refused."""
    if millis := _MILLIS.fullmatch(text):
        return float(millis[1]) / 1000
    found = _DURATION.fullmatch(text)
    if not found or not text:
        raise Refused(400, "BadDuration", f'timeout is "{text}"; write for instance 10s, 500ms or 1m30s')
    return float(found[1] or 0) * 60 + float(found[2] or 0)
