"""What this agent tells its server, what it has of it, and how it does (relay.md §13.1), for whoever looks for a
mistake.

Secrets are in none of it (M-6): facts about them are keyed hashes, listeners name them only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from agent.apply.gateway import GatewayState
from agent.relay.facts import Facts
from fingerpost.readable import readable
from fingerpost.relay.pieces import PieceList

VERSION = 1
_SECRET = "core/Secret"


class Part(NamedTuple):
    """Which part of a snapshot; an empty text means all."""

    type: str = ""
    namespace: str = ""


def gateway(name: str, state: GatewayState) -> dict[str, Any]:
    exceptions = [deviation._asdict() for deviation in state.deviations()]
    about = {"name": name, "version": state.version, "resources": len(state.effective)}
    return about | {"exceptions": exceptions}


def input_snapshot(cluster: str, facts: Facts, part: Part) -> dict[str, Any]:
    """The facts as they are pushed; in the shape of the server's dump, so that the two can be compared."""
    types = {}
    for type_, held in sorted(facts.types.items()):
        if type_ == _SECRET or part.type not in ("", type_, type_.rpartition("/")[2]):
            continue
        chosen = (one for (namespace, _), one in sorted(held.held.items()) if part.namespace in ("", namespace))
        if shown := [msgspec.json.decode(one.body) for one in chosen]:
            types[type_] = shown
    return {"version": VERSION, "clusters": {cluster: {"types": types}}}


def collect(states: Mapping[str, GatewayState], part: Part) -> list[tuple[str, str, str, PieceList]]:
    """What is in force, without decoding it: that may take long and is done off the event loop."""
    return [
        (scope, type_, name, pieces)
        for scope, state in sorted(states.items())
        if part.namespace in ("", scope.partition("/")[0])
        for (type_, name), pieces in sorted(state.effective.items(), key=lambda item: item[0])
        if part.type in ("", type_)
    ]


def output_snapshot(
    cluster: str, revision: int, collected: Iterable[tuple[str, str, str, PieceList]]
) -> dict[str, Any]:
    types: dict[str, list[Any]] = {}
    for scope, type_, name, pieces in collected:
        entry = {
            "gateway": scope,
            "name": name,
            "hash": pieces.digest.hex(),
            "resource": readable(type_, pieces),
        }
        types.setdefault(type_, []).append(entry)
    return {"version": VERSION, "revision": revision, "clusters": {cluster: {"types": dict(sorted(types.items()))}}}
