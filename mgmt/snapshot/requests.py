"""Which answer requests get, to compare it and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mgmt.explain.candidates import Candidate
from mgmt.explain.words import action_text, matcher_text
from mgmt.snapshot.by_path import Covering, Overlapping
from mgmt.snapshot.doors import HostRoutes
from mgmt.translate import ir
from mgmt.translate.routing.covering import overlap

NO_HOST = "404, the host is not served"
NO_ROUTE = "404, no route"
TO_HTTPS = "301 to https"


def request_text(host: str, matcher: ir.Matcher) -> str:
    """`GET www.shop.example/cart/*`, and what else the request must have."""
    path = matcher.path
    if path is None:
        shown = "/*"
    elif path.kind is ir.MatchKind.PREFIX:
        shown = f"{path.value}*"
    else:
        shown = f"/~{path.value}" if path.kind is ir.MatchKind.REGEX else path.value
    rest = matcher_text(ir.Matcher(headers=matcher.headers, query=matcher.query, port=matcher.port))
    also = "" if rest == "any request" else f" with {rest}"
    return f"{matcher.method or 'ANY'} {host}{shown}{also}"


def target_text(action: ir.Action) -> str:
    """`VirtualDestination shop/cart:80`, or what the proxy answers itself."""
    if not isinstance(action, ir.Forward):
        return action_text(action)
    shares = len(action.destinations) > 1
    parts = []
    for weighted in action.destinations:
        to = weighted.destination
        labels = ",".join(f"{k}={v}" for k, v in to.subset)
        name = f"{to.object.kind} {to.object.namespace}/{to.object.name}:{to.port}" + (f" {labels}" if labels else "")
        parts.append(f"{weighted.weight}% {name}" if shares else name)
    rewriting = action_text(action).partition(", ")[2]
    return ", ".join(parts) + (f", {rewriting}" if rewriting else "")


def answer_of(action: ir.Action) -> Any:
    """What it does, wherever it is written."""
    if not isinstance(action, ir.Forward):
        return action
    to = tuple((w.destination, w.weight, w.host_rewrite) for w in action.destinations)
    return to, action.path_rewrite, action.regex_rewrite, action.host_rewrite


Kind = tuple[ir.Matcher, ...]  # requests that match all of these: one matcher, or two with different paths


def kind_text(host: str, kind: Kind) -> str:
    shown = request_text(host, kind[0])
    also = [f"{m.path.kind.value} {m.path.value}" for m in kind[1:] if m.path]
    return f"{shown} and {' and '.join(also)}" if also else shown


def kinds(was: Sequence[Candidate], now: Sequence[Candidate]) -> tuple[dict[Kind, None], dict[Kind, None]]:
    """The requests of each matcher; and where matchers that changed, or changed places, overlap others, the requests
    of both. What three matchers have in common is not told apart.
    """
    single: dict[Kind, None] = dict.fromkeys([(c.matcher,) for c in (*was, *now)])
    sequences = [[(c.matcher, answer_of(c.route.action)) for c in side] for side in (was, now)]
    changed: dict[ir.Matcher, None] = {}
    same = 0
    while same < min(map(len, sequences)) and sequences[0][same] == sequences[1][same]:
        same += 1
    ends = 0
    while ends < min(map(len, sequences)) - same and sequences[0][-1 - ends] == sequences[1][-1 - ends]:
        ends += 1
    for side in sequences:
        changed.update(dict.fromkeys(m for m, _ in side[same : len(side) - ends]))
    double: dict[Kind, None] = {}
    if not (was and now):
        return single, double  # on one side all requests get the same, so what two routes share is told with each
    others = Overlapping([matcher for (matcher,) in single])
    for matcher in changed:
        for other in others.of(matcher):
            found = overlap(matcher, other)
            if found and found not in single:
                double[found] = None
    return single, double


class Taking:
    """Which of a host's routes takes a kind of requests."""

    def __init__(self, routes: HostRoutes) -> None:
        self.routes = routes
        self._covering = Covering([c.matcher for c in routes.tried])

    def first(self, kind: Kind) -> Candidate | None:
        found = [number for m in kind if (number := self._covering.first(m)) is not None]
        return self.routes.tried[min(found)] if found else None


class Taken:
    """What becomes of a kind of requests. `key` compares, `text` shows."""

    def __init__(self, taking: Taking, kind: Kind) -> None:
        routes, found = taking.routes, taking.first(kind)
        self.route = found.route.name if found else ""
        if routes.chosen is None:
            self.key: Any = NO_HOST
        elif routes.chosen.redirect:
            self.key = TO_HTTPS
        else:
            self.key = answer_of(found.route.action) if found else NO_ROUTE
        self.text = target_text(found.route.action) if found else str(self.key)
        self.served = found is not None
