"""The routes of one host as Envoy tries them, which of them takes a request, and which nearly did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from fingerpost.objects import ObjectKey
from mgmt.explain.answer import NearMiss, Place, named
from mgmt.explain.host import Chosen
from mgmt.explain.request import Asked
from mgmt.explain.words import matcher_text
from mgmt.translate import ir
from mgmt.translate.graph.tables import on_one_port
from mgmt.translate.routing.gateway_plan import Feed
from mgmt.translate.routing.match import Request, first_difference
from mgmt.translate.scopes import RouteClass
from mgmt.translate.translator import Translator

MOST_NEAR = 3


class Candidate(NamedTuple):
    """One matcher of one route: one Route of Envoy."""

    route: ir.Route
    matcher: ir.Matcher
    table: ObjectKey
    service_port: int


def feeds_of(translator: Translator, routes: RouteClass, table: ObjectKey) -> list[Feed]:
    """The listeners through which a table gets into a route list; matchers on a port mean that of the first."""
    bound: set[tuple[ObjectKey, int]] = set()
    for (_, gateway), binding in translator.tables.bound_by_table.of(table).items():
        bound.update((gateway, b.listener) for b in binding.bindings)
    return [feed for feed in routes.config.feeds if (feed.gateway, feed.listener) in bound]


def candidates(translator: Translator, routes: RouteClass, chosen: Chosen) -> list[Candidate]:
    """One table's routes stay in order; where several share the host, everything that catches all comes last (R-1)."""
    found = [c for table in chosen.tables for c in _of_table(translator, routes, table)]
    if len(chosen.tables) < 2:
        return found
    return [c for c in found if not c.matcher.catch_all] + [c for c in found if c.matcher.catch_all]


def _of_table(translator: Translator, routes: RouteClass, table: ObjectKey) -> Iterable[Candidate]:
    info = translator.tables.tables.items.get(table)
    feeds = feeds_of(translator, routes, table)
    if info is None or not feeds:
        return
    port = feeds[0].service_port
    resolved, _ = translator.tables.resolved(translator.peek(), info, routes.workspace, routes.cluster or None)
    for route in on_one_port(resolved.routes, feeds):
        for matcher in route.matchers:
            if matcher.port in (0, port):
                yield Candidate(route, matcher, table, port)


def taken(tried: Sequence[Candidate], asked: Asked) -> int | None:
    """The place of the first that matches."""
    for i, candidate in enumerate(tried):
        if not first_difference(candidate.matcher, asked.on_port(candidate.service_port)):
            return i
    return None


def near_misses(tried: Sequence[Candidate], asked: Asked, winner: int | None, host: str = "") -> tuple[NearMiss, ...]:
    """The nearest routes besides the winner, each once. A path that fits counts most, then few failing conditions."""
    won = tried[winner].route.name if winner is not None else None
    best: dict[str, tuple[tuple[object, ...], NearMiss]] = {}
    for i, candidate in enumerate(tried):
        if candidate.route.name == won:
            continue
        request = asked.on_port(candidate.service_port)
        reason = first_difference(candidate.matcher, request)
        rank = (*_distance(candidate.matcher, request), i)
        if candidate.route.name in best and best[candidate.route.name][0] <= rank:
            continue
        miss = NearMiss(
            route=candidate.route.name,
            field=Place(object=named(candidate.route.source.ref), path=candidate.route.source.path),
            matcher=matcher_text(candidate.matcher),
            reason=reason or "matches as well, but the route taken comes before it",
            host=host,
        )
        best[candidate.route.name] = (rank, miss)
    ranked = sorted(best.values(), key=lambda found: found[0])
    return tuple(miss for _, miss in ranked[:MOST_NEAR])


def _distance(matcher: ir.Matcher, request: Request) -> tuple[bool, int, float]:
    path = matcher.path
    path_fails = path is not None and bool(first_difference(ir.Matcher(path=path), request))
    failing = sum(bool(first_difference(single, request)) for single in _conditions(matcher))
    alike = SequenceMatcher(None, path.value.lower(), request.path.lower()).ratio() if path and path_fails else 1.0
    return path_fails, failing, -alike


def _conditions(matcher: ir.Matcher) -> Iterable[ir.Matcher]:
    for header in matcher.headers:
        yield ir.Matcher(headers=(header,))
    for parameter in matcher.query:
        yield ir.Matcher(query=(parameter,))
    if matcher.method:
        yield ir.Matcher(method=matcher.method)
