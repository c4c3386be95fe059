"""Dumps of what the server has and what it sends (relay.md §13.1), sorted, so that two can be compared with `diff`.

Secrets are in neither: their objects are never taken in, and listeners name them only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2  # noqa: F401  (shown, though never made)
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from fingerpost.relay.pieces import PieceList, join
from fingerpost.relay.v1 import endpoints_pb2
from mgmt.admin.objects import parsed
from mgmt.admin.ports import Plane
from mgmt.ingest.kinds import PIN, REFUSED, SESSION

VERSION = 1
_HIDDEN = frozenset({*REFUSED, SESSION, PIN})
_MESSAGES: Mapping[str, Any] = {
    "cluster": cluster_pb2.Cluster,
    "endpoints": endpoints_pb2.EndpointsTemplate,
    "listener": listener_pb2.Listener,
    "routes": route_pb2.RouteConfiguration,
}


class Part(NamedTuple):
    """Which part of a snapshot; an empty text means all."""

    cluster: str = ""
    type: str = ""
    namespace: str = ""


class Collected(NamedTuple):
    cluster: str
    scope: str
    type: str
    name: str
    pieces: PieceList


def _states(plane: Plane) -> dict[str, str]:
    states = plane.ingest.states
    found = {name: state.state.value for name, state in states.clusters.items()}
    return {plane.management: states.management.state.value} | found


def input_snapshot(plane: Plane, part: Part) -> dict[str, Any]:
    """Reads memory only; the body of every object as it is stored."""
    states = _states(plane)
    clusters: dict[str, Any] = {}
    inputs = plane.ingest.inputs
    for cluster in sorted({*states, *(c for t in _types(plane) for c in inputs.clusters_of(t))}):
        if part.cluster not in ("", cluster):
            continue
        types = {}
        for type_ in sorted(inputs.types(cluster)):
            if type_ in _HIDDEN or part.type not in ("", type_, type_.rpartition("/")[2]):
                continue
            objects = sorted(inputs.of(cluster, type_).items())
            shown = [parsed(stored) for (namespace, _), stored in objects if part.namespace in ("", namespace)]
            if shown:
                types[type_] = shown
        clusters[cluster] = {"state": states.get(cluster, ""), "types": types}
    return {"version": VERSION, "revision": plane.ingest.seq, "clusters": clusters}


def _types(plane: Plane) -> set[str]:
    return {key.type for key, _ in plane.ingest.inputs.items()} - _HIDDEN


def collect(plane: Plane, part: Part) -> list[Collected]:
    """What is sent, without decoding it: that may take long and is done off the event loop."""
    out = []
    for cluster in sorted(_states(plane)):
        if part.cluster not in ("", cluster):
            continue
        for scope, view in sorted(plane.publisher.scopes(cluster).items()):
            if part.namespace not in ("", scope.partition("/")[0]):
                continue
            for (type_, name), pieces in sorted(view.resources.items(), key=lambda item: item[0]):
                if part.type in ("", type_):
                    out.append(Collected(cluster, scope, type_, name, pieces))
    return out


def output_snapshot(states: Mapping[str, str], revision: int, collected: list[Collected]) -> dict[str, Any]:
    """Pure."""
    clusters: dict[str, Any] = {name: {"state": state, "types": {}} for name, state in sorted(states.items())}
    decoded: dict[bytes, Any] = {}
    for cluster, scope, type_, name, pieces in collected:
        if pieces.digest not in decoded:
            decoded[pieces.digest] = _decoded(type_, pieces)
        entry = {"gateway": scope, "name": name, "hash": pieces.digest.hex(), "resource": decoded[pieces.digest]}
        clusters[cluster]["types"].setdefault(type_, []).append(entry)
    return {"version": VERSION, "revision": revision, "clusters": clusters}


def states_of(plane: Plane, part: Part) -> dict[str, str]:
    return {name: state for name, state in _states(plane).items() if part.cluster in ("", name)}


def _decoded(type_: str, pieces: PieceList) -> Any:
    body = join(pieces)
    message = _MESSAGES.get(type_)
    if message is None:
        return body.decode("utf-8", "replace")
    try:
        return json_format.MessageToDict(message.FromString(body), preserving_proto_field_name=True)
    except (DecodeError, TypeError, json_format.Error) as e:
        return f"{len(body)} bytes that cannot be shown: {e}"
