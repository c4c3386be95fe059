"""What a change of objects would add, change and remove: by object, by request, by route and by emitted resource.

The translator at hand carries the change through as it would an edit, and then takes it back, so that the cost is that
of the change and not of the fleet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from fingerpost.objects import ObjectKey
from fingerpost.relay.objects import STATUS
from fingerpost.relay.pieces import PieceList
from mgmt.explain.serving import IstioServing
from mgmt.explain.words import matcher_text
from mgmt.snapshot.doors import Door, HostRoutes, doors, host_routes
from mgmt.snapshot.outcome import Outcome, Scopes
from mgmt.snapshot.requests import Kind, Taken, Taking, kind_text, kinds, target_text
from mgmt.translate.graph.inputs import SETTINGS
from mgmt.translate.graph.istio_routes import TableObjects, TableSite, Where
from mgmt.translate.scopes import RouteClass
from mgmt.translate.status import Status

Changes = Mapping[ObjectKey, bytes | None]
ADD, CHANGE, REMOVE = "add", "change", "remove"


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`change` is add, change or remove."""

    change: str


class ObjectChange(Part, frozen=True):
    kind: str
    cluster: str
    namespace: str
    name: str
    state_before: str = ""  # the approval, as its status says
    state: str = ""
    message: str = ""


class RequestChange(Part, frozen=True):
    """Requests whose answer is another one. `was`, `now`: the destination, or what the proxy itself answers."""

    request: str
    was: str
    now: str
    route_was: str = ""
    route: str = ""
    doors: tuple[str, ...] = ()


class RouteChange(Part, frozen=True):
    host: str
    route: str
    was: tuple[str, ...] = ()  # "prefix /cart -> VirtualDestination shop/cart:80"
    now: tuple[str, ...] = ()
    doors: tuple[str, ...] = ()


class ResourceChange(Part, frozen=True):
    """`origins`: the users' objects whose part of it differs; none when it is the gateway's own."""

    type: str
    name: str
    origins: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()  # cluster/namespace/name, or cluster/istio


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    objects: tuple[ObjectChange, ...] = ()
    requests: tuple[RequestChange, ...] = ()
    routes: tuple[RouteChange, ...] = ()
    resources: tuple[ResourceChange, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.objects or self.requests or self.routes or self.resources)


Site = tuple[Where, ObjectKey]  # the Istio gateways of a namespace, and a table there


class _Seen(NamedTuple):
    """What has to be known of one side before the other is made."""

    scopes: Scopes
    doors: Mapping[Door, RouteClass]
    contributions: Mapping[tuple[RouteClass, ObjectKey], object]
    sites: Mapping[Site, TableSite]
    emitted: Mapping[Site, TableObjects]
    hosts_of_class: Mapping[RouteClass, Mapping[ObjectKey, tuple[str, ...]]]
    statuses: Mapping[ObjectKey, Status]


def diff(outcome: Outcome, changes: Changes) -> Difference:
    """`outcome` is as before when this returns. Changes that change nothing are left out."""
    real = {key: body for key, body in changes.items() if outcome.objects.get(key) != body}
    if not real:
        return Difference()
    back = {key: outcome.objects.get(key) for key in real}
    before = _look(outcome)
    outcome.change(real.items())
    after = _look(outcome)
    places = _touched(before, after)
    now = _routes(outcome, places)
    # Invalid settings stand for their last valid ones, so here alone a former state is not that of a fresh start.
    if any(key.type == SETTINGS for key in real):
        outcome.change(back.items())
        was = _routes(Outcome(outcome.place, outcome.objects), places)
    else:
        outcome.change(back.items())
        was = _routes(outcome, places)
    return Difference(
        objects=_objects(real, back, before, after),
        requests=_requests(was, now),
        routes=_route_changes(was, now),
        resources=_resources(before.scopes, after.scopes),
    )


def _look(outcome: Outcome) -> _Seen:
    translator = outcome.translator
    by_class: dict[RouteClass, dict[ObjectKey, tuple[str, ...]]] = {}
    for (route_class, table), contribution in translator.tables.contributions.items.items():
        by_class.setdefault(route_class, {})[table] = contribution.hosts
    return _Seen(
        scopes=outcome.scopes(),
        doors={door: serving.routes for door, serving in doors(translator)},
        contributions=dict(translator.tables.contributions.items),
        sites=dict(translator.istio.routes.sites.items),
        emitted=translator.istio.routes.in_force(),
        hosts_of_class=by_class,
        statuses=dict(translator.all_statuses()),
    )


# -------------------------------------------------------------------- which routes have to be looked at

Places = Mapping[Door, frozenset[str]]  # the hosts there


def _touched(before: _Seen, after: _Seen) -> Places:
    """The hosts, by door, whose routes are other ones; of a door that came, went or leads elsewhere all."""
    hosts: dict[RouteClass, set[str]] = {}
    for route_class, table in before.contributions.keys() | after.contributions.keys():
        key = (route_class, table)
        if before.contributions.get(key) != after.contributions.get(key):
            for side in (before, after):
                hosts.setdefault(route_class, set()).update(side.hosts_of_class.get(route_class, {}).get(table, ()))
    out: dict[Door, frozenset[str]] = {}
    for door in before.doors.keys() | after.doors.keys():
        classes = [side.doors[door] for side in (before, after) if door in side.doors]
        if len(classes) == 2 and classes[0] == classes[1]:
            found = hosts.get(classes[0], set())
        else:
            found = {h for side in (before, after) for c in classes for h in _all_hosts(side, c)}
        found = found | _istio_hosts(door, before, after)
        if found:
            out[door] = frozenset(found)
    return out


def _all_hosts(side: _Seen, route_class: RouteClass) -> Iterable[str]:
    yield from route_class.config.redirect_hosts
    for hosts in side.hosts_of_class.get(route_class, {}).values():
        yield from hosts


def _istio_hosts(door: Door, before: _Seen, after: _Seen) -> set[str]:
    where = (door.gateway.cluster, door.gateway.namespace)
    out: set[str] = set()
    for key in before.sites.keys() | after.sites.keys():
        same = before.sites.get(key) == after.sites.get(key) and before.emitted.get(key) == after.emitted.get(key)
        if key[0] == where and not same:
            sites = [side.sites[key] for side in (before, after) if key in side.sites]
            out.update(host for site in sites for served in site.served for host in served.hosts)
    return out


def _routes(outcome: Outcome, places: Places) -> dict[tuple[Door, str], HostRoutes]:
    there = dict(doors(outcome.translator))
    made: dict[tuple[RouteClass, str], HostRoutes] = {}
    out = {}
    for door, hosts in places.items():
        serving = there.get(door)
        for host in hosts:
            if serving is None:
                out[door, host] = HostRoutes(None)
                continue
            key = (serving.routes, host)
            if key not in made or isinstance(serving, IstioServing):  # like plain Envoys share their routes
                made[key] = host_routes(outcome.translator, serving, host)
            out[door, host] = made[key]
    return out


# -------------------------------------------------------------------- comparing


def _objects(real: Changes, back: Changes, before: _Seen, after: _Seen) -> tuple[ObjectChange, ...]:
    """Those that were given, and those whose approval or message is another one because of them."""
    out = []
    for key in sorted(real.keys() | before.statuses.keys() | after.statuses.keys()):
        old, new = before.statuses.get(key), after.statuses.get(key)
        said = (_state(old), _state(new), new.message if new else "")
        if key in real:
            change = ADD if back[key] is None else REMOVE if real[key] is None else CHANGE
        elif old is not None and new is not None and (old.approval, old.message) != (new.approval, new.message):
            change = CHANGE
        else:
            continue
        out.append(
            ObjectChange(
                change=change,
                kind=key.kind,
                cluster=key.cluster,
                namespace=key.namespace,
                name=key.name,
                state_before=said[0],
                state=said[1],
                message=said[2],
            )
        )
    return tuple(out)


def _state(status: Status | None) -> str:
    return status.approval.value if status else ""


Routes = Mapping[tuple[Door, str], HostRoutes]


def _requests(was: Routes, now: Routes) -> tuple[RequestChange, ...]:
    found: dict[RequestChange, list[str]] = {}
    compared: dict[tuple[int, int, str], list[RequestChange]] = {}  # like doors share their routes
    for (door, host), old in was.items():
        new = now[door, host]
        pair = (id(old), id(new), host)
        if pair not in compared:
            compared[pair] = [] if old == new else _at_host(host, old, new)
        for one in compared[pair]:
            found.setdefault(one, []).append(str(door))
    return tuple(
        msgspec.structs.replace(one, doors=tuple(sorted(where)))
        for one, where in sorted(found.items(), key=lambda item: (item[0].request, item[0].was, item[0].now))
    )


def _at_host(host: str, old: HostRoutes, new: HostRoutes) -> list[RequestChange]:
    single, double = kinds(old.tried, new.tried)
    sides = Taking(old), Taking(new)
    out: list[RequestChange] = []
    for kind in single:
        out += _moved(host, kind, *sides)
    told = {(one.was, one.now) for one in out}
    for kind in double:
        out += [one for one in _moved(host, kind, *sides) if (one.was, one.now) not in told]
    return out


def _moved(host: str, kind: Kind, old: Taking, new: Taking) -> list[RequestChange]:
    before, after = Taken(old, kind), Taken(new, kind)
    if before.key == after.key:
        return []
    change = CHANGE if before.served and after.served else ADD if after.served else REMOVE
    return [
        RequestChange(
            change=change,
            request=kind_text(host, kind),
            was=before.text,
            now=after.text,
            route_was=before.route,
            route=after.route,
        )
    ]


def _route_changes(was: Routes, now: Routes) -> tuple[RouteChange, ...]:
    found: dict[RouteChange, list[str]] = {}
    for (door, host), old in was.items():
        new = now[door, host]
        before, after = _lines(old), _lines(new)
        for route in sorted(before.keys() | after.keys()):
            lines = before.get(route, ()), after.get(route, ())
            if lines[0] == lines[1]:
                continue
            change = ADD if not lines[0] else REMOVE if not lines[1] else CHANGE
            one = RouteChange(change=change, host=host, route=route, was=lines[0], now=lines[1])
            found.setdefault(one, []).append(str(door))
    return tuple(
        msgspec.structs.replace(one, doors=tuple(sorted(where)))
        for one, where in sorted(found.items(), key=lambda item: (item[0].host, item[0].route, item[0].was))
    )


def _lines(routes: HostRoutes) -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {}
    for c in routes.tried:
        line = f"{matcher_text(c.matcher)} -> {target_text(c.route.action)}"
        out[c.route.name] = (*out.get(c.route.name, ()), line)
    return out


def _resources(before: Scopes, after: Scopes) -> tuple[ResourceChange, ...]:
    found: dict[ResourceChange, list[str]] = {}
    compared: dict[tuple[int, int], list[ResourceChange]] = {}
    for at in sorted(before.keys() | after.keys()):
        old, new = before.get(at, {}), after.get(at, {})
        pair = (id(old), id(new))
        if pair not in compared:
            compared[pair] = [
                _resource(key[0], key[1], old.get(key), new.get(key))
                for key in sorted(old.keys() | new.keys())
                if key[0] != STATUS and old.get(key) != new.get(key)
            ]
        for one in compared[pair]:
            found.setdefault(one, []).append(f"{at[0]}/{at[1]}")
    return tuple(
        msgspec.structs.replace(one, gateways=tuple(where))
        for one, where in sorted(found.items(), key=lambda item: (item[0].type, item[0].name, item[1]))
    )


def _resource(type_: str, name: str, old: PieceList | None, new: PieceList | None) -> ResourceChange:
    change = ADD if old is None else REMOVE if new is None else CHANGE
    was, now = {p.hash: p for p in old or ()}, {p.hash: p for p in new or ()}
    differing = [p for h, p in was.items() if h not in now] + [p for h, p in now.items() if h not in was]
    moved = differing or [*was.values()]  # the same pieces in another order
    origins = sorted({_origin(p.contribution) for p in moved} - {""})
    return ResourceChange(change=change, type=type_, name=name, origins=tuple(origins))


def _origin(contribution: str) -> str:
    key = ObjectKey.of_contribution(contribution)
    return f"{key.kind} {key.cluster}/{key.namespace}/{key.name}" if key else contribution
