"""The door to `mgmt.explain`: from the JSON of a question to its answer, as values and as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fingerpost.relay.objects import CLUSTER_SCOPE
from mgmt.admin.answers import Refused
from mgmt.admin.history import active_json
from mgmt.admin.ports import Plane
from mgmt.explain import BadRequest, Standing, UnknownGateway, explain_route, parse_request, render
from mgmt.publish.arrival import GatewayState
from mgmt.translate.scopes import GatewayKey


class Question(msgspec.Struct, frozen=True):
    """`gateway` is cluster/namespace/name; absent: all gateways."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    gateway: str | None = None


def explain(plane: Plane, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Raises Refused when the question cannot be answered, for instance because the gateway is unknown."""
    try:
        question = msgspec.convert(raw, Question)
        asked = parse_request(question.url, question.method, question.headers, question.query)
        in_force = plane.outputs.in_force if plane.outputs else None  # older objects, where something is rolled back
        found = explain_route(plane.translator, asked, question.gateway or None, _standings(plane), in_force)
    except msgspec.ValidationError as e:
        raise Refused(400, "BadQuestion", f"the question is not understood: {e}") from e
    except BadRequest as e:
        raise Refused(400, "BadUrl", str(e)) from e
    except UnknownGateway as e:
        raise Refused(404, "UnknownGateway", str(e.args[0]) if e.args else str(e)) from e
    text = render(found)
    verdicts = [gateway.verdict.value for gateway in found.gateways]
    return {
        "replica": plane.replica,
        "version": plane.version,
        "text": text,
        "verdicts": verdicts,
        "explanation": msgspec.to_builtins(found),
        "rollbacks": _rollbacks(plane, question.gateway or ""),
    }


def _rollbacks(plane: Plane, gateway: str) -> list[dict[str, Any]]:
    """By which the gateways that are asked about may have other objects than those that are written."""
    active, (cluster, _, _) = plane.rollbacks.active if plane.rollbacks else (), gateway.partition("/")
    return [active_json(one) for one in active if not cluster or one.concerns(cluster)]


def _standings(plane: Plane) -> dict[GatewayKey, Standing]:
    out = {}
    for cluster in {cluster for cluster, _ in plane.publisher.arrivals.gateways}:
        for name, scope in plane.publisher.scopes(cluster).items():
            if name == CLUSTER_SCOPE:
                continue
            state = plane.publisher.arrivals.gateways.get((cluster, name), GatewayState())
            kept = {e.contribution: f"{e.code}: {e.message}" for e in state.exceptions}
            out[cluster, name] = Standing(arrived=_arrived(state, scope.version), kept=dict(scope.keep) | kept)
    return out


def _arrived(state: GatewayState, version: int) -> str:
    if state.watermark is None:
        return f"published, version {version}"
    if state.watermark < version:
        return f"on its way, version {version}; applied, version {state.watermark}"
    return f"applied, version {state.watermark}" + (", no proxy" if state.proxies == 0 else "")
