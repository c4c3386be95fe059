"""What stands in each other's way, and what stands there for nothing: shadowed routes, hosts that meet, unused objects.

Codes are stable; `CODES` explains each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from fingerpost.objects import ObjectKey
from mgmt.explain.candidates import Candidate
from mgmt.explain.serving import IstioServing, Serving
from mgmt.explain.words import matcher_text
from mgmt.snapshot.by_path import Covering
from mgmt.snapshot.doors import Door, HostRoutes, doors, host_routes
from mgmt.translate.ir import Matcher
from mgmt.translate.policy import DESTINATION_POLICIES
from mgmt.translate.routing.destination_views import EXTERNAL_SERVICE, VIRTUAL_DESTINATION
from mgmt.translate.scopes import RouteClass
from mgmt.translate.translator import Translator

SHADOWED: Final = "CNF001"
PARTLY_SHADOWED: Final = "CNF002"
HOST_SHARED: Final = "CNF003"
HOST_WITHIN: Final = "CNF004"
LISTENERS: Final = "CNF005"
HOST_CLAIMED: Final = "CNF006"
POLICIES: Final = "CNF007"
TABLE_UNBOUND: Final = "CNF011"
GATEWAY_WITHOUT_WORKLOAD: Final = "CNF012"
GATEWAY_WITHOUT_TABLES: Final = "CNF013"
DESTINATION_UNUSED: Final = "CNF014"
POLICY_UNUSED: Final = "CNF015"


class Code(NamedTuple):
    """`severity` is warning, when something surely does not what it seems to, or info."""

    severity: str
    section: str
    meaning: str
    hint: str


_ROUTES, _HOSTS, _LISTENERS, _UNUSED = "Shadowed routes", "Hosts that meet", "Conflicts", "Unused objects"
CODES: Mapping[str, Code] = MappingProxyType(
    {
        SHADOWED: Code(
            "warning",
            _ROUTES,
            "No request ever reaches this matcher of a route: wherever it is served, one before it takes them all.",
            "put the narrower route first, or remove it",
        ),
        PARTLY_SHADOWED: Code(
            "info",
            _ROUTES,
            "At some gateways or hosts no request reaches this matcher of a route, at others some do.",
            "see which tables share the host there",
        ),
        HOST_SHARED: Code(
            "info",
            _HOSTS,
            "Several tables serve one host. The routes of the oldest come first, what catches all comes last.",
            "give each table a host of its own where the order must not depend on their age",
        ),
        HOST_WITHIN: Code(
            "info",
            _HOSTS,
            "A host lies within a wildcard of another table, whose routes its requests never see.",
            "add the missing routes to the table of the narrower host, if the others are meant to hold there too",
        ),
        LISTENERS: Code(
            "warning",
            _LISTENERS,
            "Listeners of virtual gateways want one port in ways that cannot go together; the older object has it.",
            "use another port, or other hosts",
        ),
        HOST_CLAIMED: Code(
            "warning",
            _LISTENERS,
            "Two destinations claim one host and port; the older object has it.",
            "give one of them another host",
        ),
        POLICIES: Code(
            "warning",
            _LISTENERS,
            "Several policies of one kind select one target; the oldest is in force.",
            "narrow what the others select, or remove them",
        ),
        TABLE_UNBOUND: Code(
            "warning",
            _UNUSED,
            "No gateway serves this table.",
            "name in spec.virtualGateways a virtual gateway that selects a gateway and allows the table and its hosts",
        ),
        GATEWAY_WITHOUT_WORKLOAD: Code(
            "warning",
            _UNUSED,
            "The virtual gateway selects no gateway of its workspace.",
            "correct spec.workloads, or install a gateway",
        ),
        GATEWAY_WITHOUT_TABLES: Code(
            "info", _UNUSED, "No table is bound to the virtual gateway.", "bind a table, or remove it"
        ),
        DESTINATION_UNUSED: Code(
            "info", _UNUSED, "No route leads to this destination.", "remove it, unless workloads of a mesh call it"
        ),
        POLICY_UNUSED: Code(
            "warning", _UNUSED, "The policy selects nothing.", "correct its selectors, or the labels of its targets"
        ),
    }
)


class Conflict(msgspec.Struct, frozen=True, kw_only=True, order=True):
    code: str
    key: ObjectKey
    path: str = ""
    message: str

    @property
    def severity(self) -> str:
        return CODES[self.code].severity


def conflicts(translator: Translator) -> tuple[Conflict, ...]:
    """Sorted by code, then by object."""
    served = list(_served(translator))
    found = {*_shadowed(served), *_hosts(served), *_told(translator), *_unused(translator)}
    return tuple(sorted(found))


class _Served(NamedTuple):
    """Like doors once."""

    door: Door
    host: str
    routes: HostRoutes


def _served(translator: Translator) -> Iterator[_Served]:
    seen: set[tuple[RouteClass, Door | None]] = set()
    for door, serving in doors(translator):
        key = (serving.routes, door if isinstance(serving, IstioServing) else None)
        if key not in seen:
            seen.add(key)
            for host in sorted(_all_hosts(serving)):
                yield _Served(door, host, host_routes(translator, serving, host))


def _all_hosts(serving: Serving) -> set[str]:
    return {*serving.hosts(), *serving.routes.config.redirect_hosts}


# -------------------------------------------------------------------- routes


def _shadowed(served: Iterable[_Served]) -> Iterator[Conflict]:
    """A matcher counts as a whole: one that two earlier ones take only together is not found."""
    alive: set[tuple[str, str, Matcher]] = set()
    dead: dict[tuple[str, str, Matcher], dict[tuple[Candidate, Candidate], str]] = {}
    for door, host, routes in served:
        covering = Covering([c.matcher for c in routes.tried])
        for i, candidate in enumerate(routes.tried):
            which = (candidate.route.source.ref.contribution, candidate.route.source.path, candidate.matcher)
            earlier = covering.first(candidate.matcher, before=i)
            if earlier is None:
                alive.add(which)
            else:
                dead.setdefault(which, {}).setdefault((candidate, routes.tried[earlier]), f"{host} at {door}")
    for which, cases in dead.items():
        (candidate, before), where = next(iter(cases.items()))
        code = PARTLY_SHADOWED if which in alive else SHADOWED
        source = candidate.route.source
        message = (
            f"{_words(candidate)} is never reached{f' on host {where}' if which in alive else ''}: "
            f"{_words(before)} of {_name(before.route.source.ref)}, {before.route.source.path}, comes first"
        )
        yield Conflict(code=code, key=source.ref, path=source.path, message=message)


def _words(candidate: Candidate) -> str:
    return f"route {candidate.route.name} ({matcher_text(candidate.matcher)})"


def _name(key: ObjectKey) -> str:
    where = f"{key.namespace}/{key.name}" if key.namespace else key.name
    return f"{key.kind} {where} in cluster {key.cluster}"


# -------------------------------------------------------------------- hosts


def _hosts(served: Iterable[_Served]) -> Iterator[Conflict]:
    by_door: dict[Door, dict[str, tuple[ObjectKey, ...]]] = {}
    for door, host, routes in served:
        if routes.chosen is not None and not routes.chosen.redirect:
            by_door.setdefault(door, {})[host] = routes.chosen.tables
    for hosts in by_door.values():
        for host, tables in hosts.items():
            for table in tables[1:]:
                message = f"host {host} is served by {_name(tables[0])} too, whose routes come first"
                yield Conflict(code=HOST_SHARED, key=table, path="spec.hosts", message=message)
            wide = next((w for w in _wider(host) if w in hosts), None)
            for table in tables:
                for other in hosts.get(wide or "", ()):
                    if other not in tables:
                        message = f"host {host} lies within {wide} of {_name(other)}, whose routes do not hold for it"
                        yield Conflict(code=HOST_WITHIN, key=table, path="spec.hosts", message=message)


def _wider(host: str) -> Iterator[str]:
    """The wildcards that would take its requests, the longest first."""
    if host == "*":
        return
    bare = host.removeprefix("*")
    for i in range(1, len(bare)):
        yield f"*{bare[i:]}"
    yield "*"


# -------------------------------------------------------------------- what translation has found

_TOLD = {
    "ListenerConflict": LISTENERS,
    "ProtocolConflict": LISTENERS,
    "HostInUse": HOST_CLAIMED,
    "PolicyConflict": POLICIES,
}


def _told(translator: Translator) -> Iterator[Conflict]:
    for key, status in translator.all_statuses():
        for problem in status.problems:
            if problem.code in _TOLD:
                yield Conflict(code=_TOLD[problem.code], key=key, path=problem.path, message=problem.message)


# -------------------------------------------------------------------- unused


def _unused(translator: Translator) -> Iterator[Conflict]:
    """Objects that take part at all; what is wrong with others, their statuses say."""
    yield from _unbound_tables(translator)
    for key, selection in translator.gateways.selections.items.items():
        if not selection.selected:
            yield _plain(GATEWAY_WITHOUT_WORKLOAD, key, "it selects no gateway of its workspace", "spec.workloads")
        if key not in translator.tables.bound_by_gateway:
            yield _plain(GATEWAY_WITHOUT_TABLES, key, "no RouteTable is bound to it")
    used = {d.object for d in translator.destinations.used.items}
    for made in translator.istio.routes.in_force().values():
        used.update(d.object for d in made.uses)
    for type_ in (VIRTUAL_DESTINATION, EXTERNAL_SERVICE):
        views = translator.views.virtual if type_ == VIRTUAL_DESTINATION else translator.views.external
        backs = _backing(translator) if type_ == EXTERNAL_SERVICE else set()
        for key in views.items.keys() - used - backs:
            yield _plain(DESTINATION_UNUSED, key, "no route leads to it")
    for kind in DESTINATION_POLICIES:
        for key in translator.inputs[kind.type].items:
            workspace = translator.owners.config_owner(translator.peek(), key)
            settled = translator.policies.of.items.get(workspace) if workspace else None
            if settled is not None and not settled.selected.get(key):
                yield _plain(POLICY_UNUSED, key, "it selects no port of any destination", "spec.applyToDestinations")


def _unbound_tables(translator: Translator) -> Iterator[Conflict]:
    tables = translator.tables
    istio = translator.istio.routes.sites_by_table
    for key, info in tables.tables.items.items():
        if not info.plan.hosts or key in istio or key in tables.contributions_by_table:
            continue
        if not info.gateways:
            message = "it names no virtual gateway"
        elif any(bound.bindings for bound in tables.bound_by_table.of(key).values()):
            message = "it is bound, but its virtual gateways listen at no gateway for it"
        else:
            message = "no listener of the virtual gateways that it names takes it"
        yield _plain(TABLE_UNBOUND, key, f"no gateway serves it: {message}", "spec.virtualGateways")


def _backing(translator: Translator) -> set[ObjectKey]:
    """ExternalServices that stand behind a VirtualDestination."""
    return {b.key for backing in translator.destinations.backing.items.values() for b in backing.externals}


def _plain(code: str, key: ObjectKey, message: str, path: str = "") -> Conflict:
    return Conflict(code=code, key=key, path=path, message=message)
