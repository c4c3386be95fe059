"""What happens to requests when a whole cluster goes: what still answers, what fails over where, what is lost.

Configuration stays, since the server keeps what a lost cluster has told; its gateways and its endpoints go. Nothing is
assumed of load: whether the others can carry it is not known here.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec

from fingerpost.objects import ObjectKey
from mgmt.explain.destination import part_ready
from mgmt.explain.serving import IstioServing
from mgmt.snapshot.doors import Door, HostRoutes, doors, host_routes
from mgmt.snapshot.requests import request_text, target_text
from mgmt.translate import ir
from mgmt.translate.scopes import RouteClass
from mgmt.translate.translator import Translator


class Effect(enum.StrEnum):
    """From bad to harmless. Routes that do not use the cluster are counted only."""

    LOST = "lost"  # no endpoint is left
    FAILS_OVER = "failsOver"  # all requests go to endpoints that are used only now
    FEWER = "fewer"  # the endpoints of other clusters that shared the requests take all of them
    SPARE_LOST = "spareLost"  # the cluster was only for the case that nearer ones fail


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every part of the answer."""


class RouteEffect(Answer, frozen=True):
    """One destination of one route. `was`, `now`: where its requests go, as `cluster (how near)`; `spare`: where they
    would go next. `share`: percent of the route's requests. `gateways`: the clusters of the gateways concerned.
    """

    effect: Effect
    host: str
    request: str
    route: str
    destination: str
    share: int = 100
    was: tuple[str, ...] = ()
    now: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()


class WhatIf(Answer, frozen=True):
    """`hosts_lost` were served at the gateways of the cluster only. `unaffected` counts routes, each once."""

    without: str
    gateways_lost: tuple[str, ...] = ()
    hosts_lost: tuple[str, ...] = ()
    routes: tuple[RouteEffect, ...] = ()
    unaffected: int = 0

    @property
    def harmless(self) -> bool:
        """Everything is still answered somewhere."""
        return not self.hosts_lost and not self.count(Effect.LOST)

    def count(self, effect: Effect) -> int:
        return len({(r.host, r.route) for r in self.routes if r.effect is effect})


class UnknownCluster(LookupError):
    """No cluster is called so; the message lists those there are."""


class _Reach(NamedTuple):
    """`nearness` orders as priorities do (destinations.md §7.1); all alike where no policy asks for locality."""

    nearness: int
    cluster: str

    def __str__(self) -> str:
        return f"{self.cluster or 'outside'} ({_NEAR[self.nearness]})" if self.nearness else self.cluster or "outside"


_LOCAL, _REGION, _ELSEWHERE = 1, 2, 3
_NEAR = {_LOCAL: "own cluster", _REGION: "same region", _ELSEWHERE: "other regions"}


def whatif(translator: Translator, without: str) -> WhatIf:
    """Raises UnknownCluster."""
    known = sorted({translator.place.cluster, *translator.owners.all_clusters(translator.peek())})
    if without not in known:
        raise UnknownCluster(f'no cluster is called "{without}"; there are: {", ".join(known)}')
    found: dict[RouteEffect, dict[str, None]] = {}
    listed: dict[tuple[RouteClass, Door | None], list[_Line]] = {}
    served: dict[tuple[RouteClass, Door | None], Collection[str]] = {}
    effects: dict[tuple[ir.Destination, str], _Effect | None] = {}
    touched: set[tuple[str, str]] = set()
    everything: set[tuple[str, str]] = set()
    left: set[str] = set()
    gone: set[str] = set()
    for door, serving in doors(translator):
        key = (serving.routes, door if isinstance(serving, IstioServing) else None)
        if key not in served:
            served[key] = serving.hosts()
        hosts = served[key]
        if door.gateway.cluster == without:
            gone.update(hosts)
            continue
        left.update(hosts)
        if key not in listed:
            routes = [(host, host_routes(translator, serving, host)) for host in sorted(hosts)]
            listed[key] = [line for host, found_there in routes for line in _lines(found_there, host)]
        for line in listed[key]:
            everything.add((line.host, line.route))
            if line.to is None:
                continue
            place = (line.to.destination, door.gateway.cluster)
            if place not in effects:
                effects[place] = _effect(translator, line.to.destination, door, without)
            effect = effects[place]
            if effect is not None:
                touched.add((line.host, line.route))
                found.setdefault(_shown(line, effect), {})[door.gateway.cluster] = None
    return WhatIf(
        without=without,
        gateways_lost=tuple(_gateways(translator, without)),
        hosts_lost=tuple(sorted(gone - left)),
        routes=tuple(
            msgspec.structs.replace(one, gateways=tuple(sorted(where)))
            for one, where in sorted(found.items(), key=lambda item: _order(item[0]))
        ),
        unaffected=len(everything - touched),
    )


class _Line(NamedTuple):
    """`to` None: the proxy answers itself."""

    host: str
    route: str
    request: str
    to: ir.WeightedDestination | None
    text: str


class _Effect(NamedTuple):
    effect: Effect
    was: tuple[str, ...]
    now: tuple[str, ...]
    spare: tuple[str, ...]


def _lines(routes: HostRoutes, host: str) -> Iterable[_Line]:
    for candidate in routes.tried:
        action, request = candidate.route.action, request_text(host, candidate.matcher)
        if not isinstance(action, ir.Forward):
            yield _Line(host, candidate.route.name, request, None, "")
            continue
        for weighted in action.destinations:
            text = target_text(ir.Forward(destinations=(weighted,)))
            yield _Line(host, candidate.route.name, request, weighted, text)


def _shown(line: _Line, effect: _Effect) -> RouteEffect:
    return RouteEffect(
        effect=effect.effect,
        host=line.host,
        request=line.request,
        route=line.route,
        destination=line.text,
        share=line.to.weight if line.to else 100,
        was=effect.was,
        now=effect.now,
        spare=effect.spare,
    )


def _order(one: RouteEffect) -> tuple[object, ...]:
    return list(Effect).index(one.effect), one.host, one.request, one.route, one.destination, one.was, one.now


def _gateways(translator: Translator, cluster: str) -> Iterable[str]:
    for key in sorted(translator.gateways.gateways.items):
        if key.cluster == cluster:
            yield f"{key.cluster}/{key.namespace}/{key.name}"


# -------------------------------------------------------------------- one destination, seen from one gateway


def _effect(translator: Translator, destination: ir.Destination, door: Door, without: str) -> _Effect | None:
    """None: the cluster plays no part in it."""
    reached = _reached(translator, destination, door.gateway)
    left = [r for r in reached if r.cluster != without]
    if len(left) == len(reached):
        return None
    was, _ = _first(reached)
    now, spare = _first(left)
    if not left:
        effect = Effect.LOST
    elif without not in {r.cluster for r in was}:
        effect = Effect.SPARE_LOST
    else:
        effect = Effect.FEWER if {r.nearness for r in was} == {r.nearness for r in now} else Effect.FAILS_OVER
    return _Effect(effect, _texts(was), _texts(now), _texts(spare))


def _first(reached: list[_Reach]) -> tuple[list[_Reach], list[_Reach]]:
    """Those that take the requests, and those that would be next."""
    nearest = min((r.nearness for r in reached), default=0)
    after = [r for r in reached if r.nearness > nearest]
    return [r for r in reached if r.nearness == nearest], after


def _texts(reached: list[_Reach]) -> tuple[str, ...]:
    return tuple(str(r) for r in sorted(set(reached)))


def _reached(translator: Translator, destination: ir.Destination, gateway: ObjectKey) -> list[_Reach]:
    """Where requests can be answered. A cluster that has not said whether it has endpoints counts as if it had."""
    resolved = translator.destinations.resolve(translator.peek(), destination)
    if resolved is None:
        return []
    if resolved.endpoints is None:
        return [_Reach(0, "")] if resolved.upstream.inline else []
    prefer = resolved.upstream.settings.prefer_locality
    region = _regions(translator).get(gateway.cluster, "") if prefer else ""
    out = []
    for part in resolved.endpoints.parts:
        if part_ready(translator, part, destination) is False:
            continue
        if part.cluster == gateway.cluster:
            out += [_Reach(_LOCAL if prefer else 0, part.cluster)] if part.local else []
        else:
            out += [_Reach(_nearness(a.region, region) if prefer else 0, part.cluster) for a in part.remote]
    out += [_Reach(_nearness(a.region, region) if prefer else 0, "") for a in resolved.endpoints.external]
    return out


def _nearness(region: str, own: str) -> int:
    return _REGION if region == own else _ELSEWHERE


def _regions(translator: Translator) -> Mapping[str, str]:
    """Of each cluster's gateways, as far as their addresses tell."""
    out: dict[str, str] = {}
    for key, view in translator.gateways.gateways.items.items():
        for address in view.spec.external_addresses:
            if address.region:
                out.setdefault(key.cluster, address.region)
    return out
