"""VirtualService: a table's routes at the gateways of one namespace (routing.md §§4.8, 5, 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.translate import ir
from mgmt.translate.emit.istio.labels import Site
from mgmt.translate.emit.istio.names import joined, labelled
from mgmt.translate.emit.istio.objects import HERE, Emitted, IstioObject, build, cannot
from mgmt.translate.ir import MatchKind, Value
from mgmt.translate.routing.hosts import covers

KIND = "VirtualService"
_ANY_VALUE = ".*"  # istiod takes this expression for "the header is present"


class Door(Value, frozen=True):
    """An emitted Gateway at which a table serves some hosts. `feeds` are the (Service port, listening port) pairs of
    the listeners that let it in; with `narrow` it has servers that do not, so that every match has to name ports.
    """

    gateway: str
    selector: tuple[tuple[str, str], ...]
    feeds: tuple[tuple[int, int], ...]
    narrow: bool = False


class Served(Value, frozen=True):
    """Hosts of a table that are served at the same doors; `shared` are those that another table serves there too."""

    hosts: tuple[str, ...]
    doors: tuple[Door, ...]
    shared: frozenset[str] = frozenset()


class _Limit(NamedTuple):
    """What cannot be told, about one route."""

    route: ir.Route
    field: str
    message: str


def emit_virtual_services(
    site: Site,
    table: ObjectKey,
    routes: Sequence[ir.Route],
    served: Sequence[Served],
    annotations: Mapping[str, str] | None = None,
) -> Emitted:
    """One object, as long as all hosts are served alike; then one for each difference."""
    objects: list[IstioObject] = []
    names: set[str] = set()
    limits: dict[_Limit, None] = {}
    stem = ("routetable", table.name, table.namespace, table.cluster, site.workspace)
    for group in (part for whole in served for part in _apart(whole)):
        shared = group.shared.intersection(group.hosts)
        http = _http(routes, group.doors, limits, last=bool(shared))
        if not http:
            continue
        spec = {
            "exportTo": HERE,
            "gateways": sorted(door.gateway for door in group.doors),
            "hosts": list(group.hosts),
            "http": http,
        }
        name = joined(*stem, group.hosts[0].replace("*", "all")) if names else joined(*stem)
        if name in names:  # hosts that differ only in what a name cannot hold
            name = joined(*stem, str(len(names)), group.hosts[0])
        names.add(name)
        objects.append(build(KIND, site, name, [table], spec, annotations))
    problems = [
        cannot(limit.route.source.ref, f"{limit.route.source.path}.{limit.field}", limit.message) for limit in limits
    ]
    hosts = sorted({host for group in served for host in group.shared.intersection(group.hosts)})
    return Emitted(tuple(objects), (*problems, *(_order_unknown(table, host) for host in hosts)))


def _apart(group: Served) -> Iterable[Served]:
    """Istio refuses a host that another of the same object covers, and an object's routes have one order for all its
    hosts; so what is covered, or shared with other tables, gets an object of its own.
    """
    parts: dict[tuple[int, bool], list[str]] = {}
    for host in group.hosts:
        depth = sum(covers(wide, host) for wide in group.hosts)
        parts.setdefault((depth, host in group.shared), []).append(host)
    for _, hosts in sorted(parts.items()):
        yield Served(hosts=tuple(hosts), doors=group.doors, shared=group.shared)


def _order_unknown(table: ObjectKey, host: str) -> Problem:
    message = (
        f"host {host} is served for other tables too: Istio tries the routes of the VirtualService that it has had "
        "longest first, not those of the oldest table, and catch-all routes last; keep matchers of tables that share "
        "a host apart"
    )
    return cannot(table, "spec.hosts", message, located=True)


def _http(
    routes: Sequence[ir.Route], doors: Sequence[Door], limits: dict[_Limit, None], *, last: bool
) -> list[dict[str, Any]]:
    """With `last` catch-all matchers come after all others, as where tables share a host (routing.md §4.7)."""
    ordered: list[dict[str, Any]] = []
    caught: list[dict[str, Any]] = []
    for route in routes:
        normal = [m for m in route.matchers if not (last and m.catch_all)]
        for matchers, out in ((normal, ordered), ([m for m in route.matchers if last and m.catch_all], caught)):
            match = [entry for matcher in matchers for entry in _match(route, matcher, doors, limits)]
            if match:
                out.append({"name": route.name, "match": match, **_action(route.action)})
    return ordered + caught


def _match(
    route: ir.Route, matcher: ir.Matcher, doors: Sequence[Door], limits: dict[_Limit, None]
) -> list[dict[str, Any]]:
    for header in matcher.headers:
        if header.invert and header.kind is MatchKind.REGEX and header.value == _ANY_VALUE:
            message = (
                f'header {header.name}: Istio takes the inverted regex "{_ANY_VALUE}" for "is absent"; leave it out'
            )
            limits[_Limit(route, "matchers", message)] = None
            return []
    base = _conditions(matcher)
    if matcher.port == 0 and not any(door.narrow for door in doors):
        selectors = dict.fromkeys(door.selector for door in doors)
        return [{**base, "sourceLabels": dict(selector)} for selector in selectors]
    out: list[dict[str, Any]] = []
    for door in doors:
        entry = {**base, "sourceLabels": dict(door.selector)}
        if len(doors) > 1:
            entry["gateways"] = [door.gateway]
        if matcher.port == 0 and not door.narrow:
            out.append(entry)
            continue
        wanted = {listening for service, listening in door.feeds if matcher.port in (0, service)}
        out += [{**entry, "port": port} for port in sorted(wanted)]
    return out


def _conditions(matcher: ir.Matcher) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if matcher.path is not None:
        out["uri"] = {matcher.path.kind.value: matcher.path.value}
        if matcher.path.ignore_case:
            out["ignoreUriCase"] = True
    for field, invert in (("headers", False), ("withoutHeaders", True)):
        if found := {h.name: _string(h) for h in matcher.headers if h.invert is invert}:
            out[field] = found
    if matcher.query:
        out["queryParams"] = {q.name: _string(q) for q in matcher.query}
    if matcher.method:
        out["method"] = {"exact": matcher.method}
    return out


def _string(match: ir.HeaderMatch | ir.QueryMatch) -> dict[str, str]:
    return {} if match.kind is MatchKind.PRESENT else {match.kind.value: match.value}


def _action(action: ir.Action) -> dict[str, Any]:
    if isinstance(action, ir.Forward):
        return _forward(action)
    if isinstance(action, ir.Redirect):
        redirect: dict[str, Any] = {"redirectCode": action.status}
        if action.host:
            redirect["authority"] = action.host
        if action.path:
            redirect["uri"] = action.path
        return {"redirect": redirect}
    response: dict[str, Any] = {"status": action.status}
    if action.body:
        response["body"] = {"string": action.body}
    return {"directResponse": response}


def _forward(action: ir.Forward) -> dict[str, Any]:
    several = len(action.destinations) > 1
    route = []
    for weighted in action.destinations:
        entry: dict[str, Any] = {"destination": destination(weighted.destination)}
        if several:
            entry["weight"] = weighted.weight
        if weighted.host_rewrite:
            entry["headers"] = {"request": {"set": {"Host": weighted.host_rewrite}}}
        route.append(entry)
    out: dict[str, Any] = {"route": route}
    rewrite: dict[str, Any] = {}
    if action.path_rewrite:
        rewrite["uri"] = action.path_rewrite
    if action.regex_rewrite is not None:
        rewrite["uriRegexRewrite"] = {"match": action.regex_rewrite[0], "rewrite": action.regex_rewrite[1]}
    if action.host_rewrite:
        rewrite["authority"] = action.host_rewrite
    if rewrite:
        out["rewrite"] = rewrite
    return out


def destination(found: ir.Destination) -> dict[str, Any]:
    out: dict[str, Any] = {"host": found.host, "port": {"number": found.port}}
    if found.subset:
        out["subset"] = labelled(found.subset)
    return out


def emit_terminated(
    site: Site, gateway: str, host: str, port: int, local: ir.Destination, parent: ObjectKey, another: str = ""
) -> IstioObject:
    """What an east-west gateway that ends TLS does with the connections for `host` (destinations.md §4.5). `another` is
    set for all but the first gateway of a namespace.
    """
    tcp = {"match": [{"port": port}], "route": [{"destination": destination(local)}]}
    spec = {"hosts": [f"*.{host}"], "gateways": [gateway], "exportTo": HERE, "tcp": [tcp]}
    return build(KIND, site, joined("eastwest", host, *filter(None, [another])), [parent], spec)
