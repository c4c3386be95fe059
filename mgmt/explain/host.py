"""Which host of a route list serves a request: exact, then the longest wildcard, then `*`, as Envoy does."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import NamedTuple

from mgmt.translate.routing.gateway_plan import requires_tls
from mgmt.translate.scopes import RouteClass, RouteContribution
from mgmt.translate.translator import Translator


class Chosen(NamedTuple):
    """`tables` oldest first. `redirect`: every request is sent to https."""

    host: str
    how: str
    tables: tuple[RouteContribution, ...]
    redirect: bool


def choose_host(translator: Translator, routes: RouteClass, host: str) -> Chosen | None:
    buckets = translator.tables.contributions_by_host.buckets
    for candidate in _candidates(host):
        serving = buckets.get((routes, candidate), {})
        if not serving and candidate not in routes.config.redirect_hosts:
            continue
        return Chosen(
            host=candidate,
            how=_how(candidate, host),
            tables=tuple(sorted(serving.values(), key=lambda c: c.order)),
            redirect=requires_tls(candidate, routes.config.redirect_hosts),
        )
    return None


def _candidates(host: str) -> Iterable[str]:
    if host:
        yield host
    for i in range(1, len(host)):
        yield f"*{host[i:]}"
    yield "*"


def _how(candidate: str, host: str) -> str:
    if candidate == host:
        return "exact"
    return "any host" if candidate == "*" else "longest wildcard"


def nearest_hosts(translator: Translator, routes: RouteClass, host: str, most: int) -> tuple[str, ...]:
    """The hosts served that look most like the one asked for."""
    served = {h for c, h in translator.tables.contributions_by_host.buckets if c == routes}
    ranked = sorted(served, key=lambda h: (-SequenceMatcher(None, h, host).ratio(), h))
    return tuple(ranked[:most])
