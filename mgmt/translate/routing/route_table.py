"""RouteTable: hosts and ordered routes, compiled once per edit and for all gateways alike (routing.md §4, §13).

Nothing here looks anything up: destinations stay references until `resolve`, hosts until the binding.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fingerpost.api.networking.route_table import RouteTable
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Reporter, Severity
from fingerpost.shared import shared
from mgmt.translate.routing.actions import compile_action, replacement
from mgmt.translate.routing.errors import MATCHERS, RouteError
from mgmt.translate.routing.hosts import covers, host_problem, normalize_hosts
from mgmt.translate.routing.matchers import compile_matchers
from mgmt.translate.routing.names import trimmed, unique_names
from mgmt.translate.routing.plan import MISCONFIGURED, RoutePlan, TablePlan, field_of

_OWN_PREFIXES = ("solo.io", "fingerpost.dev")
_UNIMPLEMENTED = "is not implemented in this version"


def compile_table(key: ObjectKey, table: RouteTable) -> TablePlan:
    """Total: whatever is wrong with the table ends up in `problems`."""
    report = Reporter(key)
    spec = table.spec
    hosts = _hosts(table, report)
    names = unique_names([route.name for route in spec.http])
    _note_new_names(table, names, report)
    routes: list[RoutePlan] = []
    chain = (key,)
    for index in range(len(spec.http)):
        if plan := _compile_route(chain, table, index, names[index], report):
            routes.append(plan)
    _note_unreachable(routes, report)
    _note_unimplemented(table, report)
    return TablePlan(key=key, hosts=hosts, routes=tuple(routes), problems=tuple(report.problems))


def route_message(written: str, index: int, reason: str) -> str:
    """The form of every route error (routing.md §13.1)."""
    return f'route "{written}" (http[{index}]): {reason}'


def _hosts(table: RouteTable, report: Reporter) -> tuple[str, ...]:
    """None are left when the table as a whole may not be served."""
    spec = table.spec
    hosts = normalize_hosts(spec.hosts)
    fine = True
    for i, host in enumerate(spec.hosts):
        problem = host_problem(host)
        if problem:
            fine = False
            report.invalid(f"spec.hosts[{i}]", "InvalidHost", f'hosts: "{host}": {problem}', located=True)
        elif host == "*" and not spec.virtual_gateways:
            fine = False
            report.invalid(f"spec.hosts[{i}]", "InvalidHost", 'hosts: "*" needs virtualGateways', located=True)
    for name in sorted(spec.virtual_service_annotations):
        prefix = name.partition("/")[0]
        if any(prefix == own or prefix.endswith(f".{own}") for own in _OWN_PREFIXES):
            fine = False
            message = f'virtualServiceAnnotations: "{name}" is used by the system itself, choose another key'
            report.invalid("spec.virtualServiceAnnotations", "ReservedAnnotation", message)
    if not fine:
        return ()
    for narrow in hosts:
        if wide := next((h for h in hosts if covers(h, narrow)), None):
            report.add(Severity.INFO, "spec.hosts", "HostCovered", f'hosts: "{narrow}" is covered by "{wide}"')
    return hosts


def _note_new_names(table: RouteTable, names: Sequence[str], report: Reporter) -> None:
    seen: set[str] = set()
    for index, (route, name) in enumerate(zip(table.spec.http, names, strict=True)):
        wanted = trimmed(route.name) or f"route-{index}"
        if wanted in seen:
            message = f'http[{index}].name: "{wanted}" is used by an earlier route, so this one is called "{name}"'
            report.warn(f"spec.http[{index}].name", "DuplicateRouteName", message)
        seen.add(name)


def _compile_route(
    chain: tuple[ObjectKey, ...], table: RouteTable, index: int, name: str, report: Reporter
) -> RoutePlan | None:
    """None when no matcher is left: the route must never turn into a catch-all (R-164)."""
    route, key, path = table.spec.http[index], chain[-1], field_of(index)
    written = route.name or f"route-{index}"
    matchers, broken = compile_matchers(route.matchers)
    action = compile_action(route, key, path, table.spec.default_destination, matchers)
    errors = [RouteError(MATCHERS, reason) for reason in broken]
    if isinstance(action, RouteError):
        errors.append(action)
    for error in errors:
        report.invalid(path, MISCONFIGURED, route_message(written, index, error.reason), located=True)
    if not matchers:
        return None
    return RoutePlan(
        own=name,
        written=written,
        index=index,
        chain=chain,
        matchers=matchers,
        action=replacement(errors[0].kind) if errors or isinstance(action, RouteError) else action,
        labels=shared(tuple(sorted({**table.metadata.labels, **route.labels}.items()))),
        error=errors[0] if errors else None,
    )


def _note_unreachable(routes: Sequence[RoutePlan], report: Reporter) -> None:
    """R-60. A catch-all that names a port hides only what follows on that port."""
    caught: dict[int, str] = {}  # port, or 0 for all of them -> the catch-all route
    for route in routes:
        ports = {matcher.port for matcher in route.matchers}
        by = caught.get(0) or (caught[min(ports)] if ports <= caught.keys() else None)
        if by is not None:
            reason = f'unreachable, since route "{by}" before it matches every request'
            message = route_message(route.written, route.index, reason)
            report.warn(route.source.path, "RouteUnreachable", message, located=True)
        for matcher in route.matchers:
            if matcher.catch_all:
                caught.setdefault(matcher.port, route.written)


def _note_unimplemented(table: RouteTable, report: Reporter) -> None:
    spec = table.spec
    for field in ("tcp", "tls"):
        if getattr(spec, field):
            message = f"{field}: {field} routing {_UNIMPLEMENTED}, these routes are served nowhere"
            report.warn(f"spec.{field}", "NotImplemented", message)
    if spec.apply_to_destinations:
        message = f"applyToDestinations: producer-side routing {_UNIMPLEMENTED}"
        report.warn("spec.applyToDestinations", "NotImplemented", message)
    if not spec.hosts:
        message = f"hosts is empty: delegate {_UNIMPLEMENTED}, so nothing leads to the routes of this table"
        report.warn("spec.hosts", "NotImplemented", message)
    elif spec.workload_selectors:
        message = f"workloadSelectors: routing between workloads {_UNIMPLEMENTED}, only virtualGateways serve the table"
        report.warn("spec.workloadSelectors", "NotImplemented", message)
    elif not spec.virtual_gateways:
        message = (
            f"virtualGateways is empty: routing between workloads {_UNIMPLEMENTED}, so the table is served nowhere"
        )
        report.warn("spec.virtualGateways", "NotImplemented", message)


def port_problems(plan: TablePlan, ports: Collection[int]) -> tuple[Problem, ...]:
    """Matchers for a port that no listener of any bound gateway has; `ports` are those of all (routing.md §5.5)."""
    report = Reporter(plan.key)
    for route in plan.routes:
        for port in sorted({matcher.port for matcher in route.matchers} - {0, *ports}):
            reason = f"no listener of the table's gateways has port {port}"
            message = route_message(route.written, route.index, reason)
            report.warn(f"{route.source.path}.matchers", "PortUnknown", message, located=True)
    return tuple(report.problems)
