"""Resolving: from a compiled table to the routes of one kind of gateway.

A reference that leads nowhere makes its route answer 500 (routing.md §7, §13.2).
"""

from __future__ import annotations

from fingerpost.problems import Reporter
from mgmt.translate import ir
from mgmt.translate.routing.actions import replacement
from mgmt.translate.routing.errors import RouteError
from mgmt.translate.routing.plan import MISCONFIGURED, PlannedForward, Resolved, Resolver, RoutePlan, TablePlan
from mgmt.translate.routing.route_table import route_message


def resolve_routes(plan: TablePlan, resolver: Resolver) -> Resolved:
    """Every route keeps its place and its matchers, whatever becomes of its action."""
    report = Reporter(plan.key)
    used: dict[ir.Destination, None] = {}
    routes = [_resolve(route, resolver, report, used) for route in plan.routes]
    return Resolved(tuple(routes), tuple(used), tuple(report.problems))


def _resolve(route: RoutePlan, resolver: Resolver, report: Reporter, used: dict[ir.Destination, None]) -> ir.Route:
    action: ir.Action
    if isinstance(route.action, PlannedForward):
        action, errors = _forward(route.action, resolver)
        for error, source in errors:
            message = route_message(route.written, route.index, error.reason)
            report.invalid(source.path, MISCONFIGURED, message, located=True)
        if errors:
            action = replacement(errors[0][0].kind)
        else:
            used.update((weighted.destination, None) for weighted in action.destinations)
    else:
        action = route.action
    return ir.Route(
        name=route.name,
        source=route.source,
        chain=route.chain,
        matchers=route.matchers,
        action=action,
        labels=route.labels,
    )


def _forward(planned: PlannedForward, resolver: Resolver) -> tuple[ir.Forward, list[tuple[RouteError, ir.Source]]]:
    errors: list[tuple[RouteError, ir.Source]] = []
    destinations: list[ir.WeightedDestination] = []
    several = len(planned.destinations) > 1
    for wanted in planned.destinations:
        found = resolver(wanted.ref, wanted.source)
        if isinstance(found, RouteError):
            errors.append((found, wanted.source))
            continue
        own_host = found.host if several and planned.auto_host_rewrite else ""
        destinations.append(
            ir.WeightedDestination(destination=found, weight=wanted.weight, source=wanted.source, host_rewrite=own_host)
        )
    host = planned.host_rewrite
    if planned.auto_host_rewrite and not several and destinations:
        host = destinations[0].destination.host
    forward = ir.Forward(
        destinations=tuple(destinations),
        path_rewrite=planned.path_rewrite,
        regex_rewrite=planned.regex_rewrite,
        host_rewrite=host,
    )
    return forward, errors
