"""RouteTable: the admission rules of a table as a whole (routing.md §4.1, §4.2, §18). Its routes: `http_route`."""

from __future__ import annotations

from fingerpost.api.base import Absent
from fingerpost.api.common import DestinationKind, WorkloadKind, WorkloadSelector
from fingerpost.api.limits import MOST_HOSTS, MOST_ROUTES, MOST_WORKLOAD_SELECTORS
from fingerpost.api.networking.route_table import RouteTable, RouteTableSpec, TCPRoute, TLSRoute
from fingerpost.crd.rules import route_table as rules
from fingerpost.problems import Reporter
from mgmt.translate.check.http_route import check_destination, check_destinations, check_http_route
from mgmt.translate.check.rules import check_length, check_port, check_port_number, check_reference, refuse
from mgmt.translate.routing.hosts import host_problem


def check(table: RouteTable, report: Reporter) -> None:
    spec = table.spec
    _check_hosts(spec, report)
    if not spec.hosts:
        _check_child(spec, report)
    if not (spec.http or spec.tcp or spec.tls):
        refuse(report, "spec", rules.NO_ROUTES)
    check_length(report, "spec.hosts", spec.hosts, MOST_HOSTS)
    check_length(report, "spec.http", spec.http, MOST_ROUTES)
    check_length(report, "spec.tcp", spec.tcp, MOST_ROUTES)
    check_length(report, "spec.tls", spec.tls, MOST_ROUTES)
    check_length(report, "spec.workloadSelectors", spec.workload_selectors, MOST_WORKLOAD_SELECTORS)
    for i, ref in enumerate(spec.virtual_gateways):
        check_reference(report, f"spec.virtualGateways[{i}]", ref)
    for i, selector in enumerate(spec.workload_selectors):
        _check_workloads(f"spec.workloadSelectors[{i}]", selector, report)
    for i, target in enumerate(spec.apply_to_destinations):
        if target.kind is not DestinationKind.SERVICE:
            refuse(report, f"spec.applyToDestinations[{i}].kind", rules.DESTINATION_KIND)
        check_port(report, f"spec.applyToDestinations[{i}].port", target.port)
    _check_default(spec, report)
    for i, http in enumerate(spec.http):
        check_http_route(f"spec.http[{i}]", http, report)
    for i, tcp in enumerate(spec.tcp):
        _check_tcp(f"spec.tcp[{i}]", tcp, report)
    for i, tls in enumerate(spec.tls):
        _check_tls(f"spec.tls[{i}]", tls, report)


def _check_hosts(spec: RouteTableSpec, report: Reporter) -> None:
    # Code and words as in routing.route_table, which finds the same: a person sees it once.
    for i, host in enumerate(spec.hosts):
        if problem := host_problem(host):
            report.invalid(f"spec.hosts[{i}]", "InvalidHost", f'hosts: "{host}": {problem}', located=True)
        elif host == "*" and not spec.virtual_gateways:
            report.invalid(f"spec.hosts[{i}]", "InvalidHost", 'hosts: "*" needs virtualGateways', located=True)


def _check_child(spec: RouteTableSpec, report: Reporter) -> None:
    for name, given in (
        ("virtualGateways", bool(spec.virtual_gateways)),
        ("applyToDestinations", bool(spec.apply_to_destinations)),
        ("failureMode", spec.failure_mode != RouteTableSpec().failure_mode),
    ):
        if given:
            refuse(report, f"spec.{name}", rules.NOT_OF_CHILD.format(name))


def _check_workloads(path: str, selector: WorkloadSelector, report: Reporter) -> None:
    if selector.kind is not WorkloadKind.KUBE:
        refuse(report, f"{path}.kind", rules.WORKLOAD_KIND)
    check_port(report, f"{path}.port", selector.port)
    chosen = selector.selector
    if chosen is None:
        return
    for name in ("name", "namespace", "cluster", "workspace"):
        if value := getattr(chosen, name):
            refuse(
                report, f"{path}.selector.{name}", f'workloads are selected by labels only, not by "{value}"; remove it'
            )


def _check_default(spec: RouteTableSpec, report: Reporter) -> None:
    forwards = [route.forward_to for route in spec.http if route.forward_to is not None]
    if spec.default_destination is not None:
        check_destination("spec.defaultDestination", spec.default_destination, report)
        if not forwards:
            refuse(report, "spec.defaultDestination", rules.DEFAULT_UNUSED)
    elif any(not f.destinations and not isinstance(f.destinations, Absent) for f in forwards):
        # An absent list passes here and costs only its route, as in the reference.
        refuse(report, "spec.defaultDestination", rules.DEFAULT_NEEDED)


def _check_tcp(path: str, route: TCPRoute, report: Reporter) -> None:
    for i, matcher in enumerate(route.matchers):
        check_port_number(report, f"{path}.matchers[{i}].port", matcher.port)
    forward = route.forward_to
    if forward is None or not forward.destinations:
        refuse(report, f"{path}.forwardTo.destinations", rules.NO_DESTINATION)
        return
    check_destinations(f"{path}.forwardTo", forward.destinations, report)
    for name, given in (
        ("pathRewrite", bool(forward.path_rewrite)),
        ("regexRewrite", forward.regex_rewrite is not None),
        ("hostRewrite", bool(forward.host_rewrite)),
        ("autoHostRewrite", forward.auto_host_rewrite),
    ):
        if given:
            refuse(report, f"{path}.forwardTo.{name}", rules.NO_REWRITE)


def _check_tls(path: str, route: TLSRoute, report: Reporter) -> None:
    for i, matcher in enumerate(route.matchers):
        check_port_number(report, f"{path}.matchers[{i}].port", matcher.port)
    if route.forward_to is None or not route.forward_to.destinations:
        refuse(report, f"{path}.forwardTo.destinations", rules.NO_DESTINATION)
        return
    check_destinations(f"{path}.forwardTo", route.forward_to.destinations, report)
