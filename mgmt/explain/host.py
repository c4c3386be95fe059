"""Which host of a route list serves a request: exact, then the longest wildcard, then `*`, as Envoy does."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import NamedTuple

from fingerpost.objects import ObjectKey
from mgmt.explain.serving import Serving
from mgmt.translate.routing.gateway_plan import requires_tls


class Chosen(NamedTuple):
    """`tables` oldest first. `redirect`: every request is sent to https."""

    host: str
    how: str
    tables: tuple[ObjectKey, ...]
    redirect: bool


def choose_host(serving: Serving, host: str) -> Chosen | None:
    redirects = serving.routes.config.redirect_hosts
    for candidate in _candidates(host):
        tables = tuple(serving.tables(candidate))
        if not tables and candidate not in redirects:
            continue
        return Chosen(
            host=candidate,
            how=_how(candidate, host),
            tables=tables,
            redirect=requires_tls(candidate, redirects),
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


def nearest_hosts(serving: Serving, host: str, most: int) -> tuple[str, ...]:
    """The hosts served that look most like the one asked for."""
    ranked = sorted(serving.hosts(), key=lambda h: (-SequenceMatcher(None, h, host).ratio(), h))
    return tuple(ranked[:most])
