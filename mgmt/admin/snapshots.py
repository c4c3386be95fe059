"""Dumps of what the server has and what it sends (relay.md §13.1), sorted, so that two can be compared with `diff`.

Secrets are in neither: their objects are never taken in, and listeners name them only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fingerpost.readable import readable
from fingerpost.relay.pieces import PieceList
from mgmt.admin.history import active_json
from mgmt.admin.objects import parsed
from mgmt.admin.ports import Plane
from mgmt.ingest.kinds import PIN, REFUSED, SESSION
from mgmt.store.values import Stored

VERSION = 1
_HIDDEN = frozenset({*REFUSED, SESSION, PIN})


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


def collect_input(plane: Plane, part: Part) -> list[tuple[str, str, Stored]]:
    """(cluster, type, object), sorted, without decoding: that may take long and is done off the event loop."""
    out = []
    inputs = plane.ingest.inputs
    for cluster in sorted({*_states(plane), *(c for t in _types(plane) for c in inputs.clusters_of(t))}):
        if part.cluster not in ("", cluster):
            continue
        for type_ in sorted(inputs.types(cluster)):
            if type_ in _HIDDEN or part.type not in ("", type_, type_.rpartition("/")[2]):
                continue
            for (namespace, _), stored in sorted(inputs.of(cluster, type_).items(), key=lambda item: item[0]):
                if part.namespace in ("", namespace):
                    out.append((cluster, type_, stored))
    return out


def input_snapshot(
    about: Mapping[str, Any], states: Mapping[str, str], collected: list[tuple[str, str, Stored]]
) -> Any:
    """Pure; the body of every object as it is stored."""
    names = sorted({*states, *(cluster for cluster, _, _ in collected)})
    clusters: dict[str, Any] = {name: {"state": states.get(name, ""), "types": {}} for name in names}
    for cluster, type_, stored in collected:
        clusters[cluster]["types"].setdefault(type_, []).append(parsed(stored))
    return {**about, "clusters": clusters}


def about(plane: Plane, revision: int) -> dict[str, Any]:
    """`place` is what a translator has to know besides the objects; `rollbacks`: why gateways follow others."""
    place = {
        "cluster": plane.management,
        "adminNamespace": plane.admin_namespace,
        "scopedRoutesFrom": plane.translator.place.scoped_from,
    }
    rollbacks = [active_json(one) for one in plane.rollbacks.active] if plane.rollbacks else []
    said = {"version": VERSION, "revision": revision, "serverVersion": plane.version}
    return said | {"place": place, "rollbacks": rollbacks}


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


def output_snapshot(about: Mapping[str, Any], states: Mapping[str, str], collected: list[Collected]) -> dict[str, Any]:
    """Pure."""
    clusters: dict[str, Any] = {name: {"state": state, "types": {}} for name, state in sorted(states.items())}
    decoded: dict[bytes, Any] = {}
    for cluster, scope, type_, name, pieces in collected:
        if pieces.digest not in decoded:
            decoded[pieces.digest] = readable(type_, pieces)
        entry = {"gateway": scope, "name": name, "hash": pieces.digest.hex(), "resource": decoded[pieces.digest]}
        clusters[cluster]["types"].setdefault(type_, []).append(entry)
    return {**about, "clusters": clusters}


def states_of(plane: Plane, part: Part) -> dict[str, str]:
    return {name: state for name, state in _states(plane).items() if part.cluster in ("", name)}
