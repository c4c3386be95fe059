"""`diff` between random configurations, against two full builds and against what each request meets."""

from __future__ import annotations

from random import Random

import pytest
from random_world import PLACE, configuration, request

from fingerpost.objects import ObjectKey
from fingerpost.relay.objects import STATUS
from mgmt.explain.candidates import taken
from mgmt.explain.request import parse_request
from mgmt.snapshot.diff import ADD, REMOVE, diff
from mgmt.snapshot.doors import doors, host_routes
from mgmt.snapshot.outcome import Outcome
from mgmt.snapshot.requests import NO_ROUTE, target_text
from mgmt.translate.graph.inputs import ROUTE_TABLE


def change(old: dict[ObjectKey, bytes], new: dict[ObjectKey, bytes]) -> dict[ObjectKey, bytes | None]:
    return {k: new.get(k) for k in old.keys() | new.keys() if old.get(k) != new.get(k)}


@pytest.mark.spec("C-43")
@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_difference_of_two_builds(seed: int) -> None:
    old, new = configuration(seed).objects, configuration(seed + 100).objects
    outcome = Outcome(PLACE, old)
    before, after = Outcome(PLACE, old).scopes(), Outcome(PLACE, new).scopes()
    found = diff(outcome, change(old, new))
    assert outcome.scopes() == before, "it has to leave everything as it was"
    assert outcome.objects == old
    told = {(at, r.type, r.name): r.change for r in found.resources for at in r.gateways}
    wanted = {}
    for at in before.keys() | after.keys():
        for key in before.get(at, {}).keys() | after.get(at, {}).keys():
            was, now = before.get(at, {}).get(key), after.get(at, {}).get(key)
            if was != now and key[0] != STATUS:
                wanted["/".join(at), *key] = ADD if was is None else REMOVE if now is None else "change"
    assert told == wanted
    assert wanted
    assert diff(outcome, {k: old[k] for k in old}).empty


def test_every_request_that_moves_is_told() -> None:
    moved = 0
    for seed in range(20):
        old = configuration(seed).objects
        other = configuration(seed + 100).objects
        new = old | {k: body for k, body in other.items() if k.type == ROUTE_TABLE}
        outcome, later = Outcome(PLACE, old), Outcome(PLACE, new)
        found = diff(outcome, change(old, new))
        told = {(door, r.was, r.now) for r in found.requests for door in r.doors}
        sides = [dict(doors(o.translator)) for o in (outcome, later)]
        random = Random(seed)
        for tried in (request(random) for _ in range(100)):
            asked = parse_request(tried.url, tried.method, tried.headers)
            if asked.path is None:
                continue
            for door in sides[0].keys() & sides[1].keys():
                met = []
                for side, o in zip(sides, (outcome, later), strict=True):
                    routes = host_routes(o.translator, side[door], asked.host)
                    if routes.chosen is None or routes.chosen.redirect:
                        break
                    winner = taken(routes.tried, asked)
                    met.append(NO_ROUTE if winner is None else target_text(routes.tried[winner].route.action))
                if len(met) == 2 and met[0] != met[1]:
                    assert (str(door), *met) in told, (seed, tried, met, sorted(told))
                    moved += 1
    assert moved > 50
