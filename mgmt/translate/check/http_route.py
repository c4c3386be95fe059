"""One HTTP route of a RouteTable: one-ofs, ranges and sizes that the API refuses (routing.md §5, §6, §7.1, §18).

Mistakes that cost only the route (weights, expressions, a redirect without target) are found where routes are compiled.
"""

from __future__ import annotations

from collections.abc import Sequence

from fingerpost.api.common import DestinationReference, HTTPRequestMatcher
from fingerpost.api.limits import LONGEST_BODY, MOST_DESTINATIONS
from fingerpost.api.networking.route_table import DirectResponseAction, ForwardToAction, HTTPRoute
from fingerpost.problems import Reporter
from mgmt.translate.check.rules import (
    check_labels,
    check_length,
    check_one_of,
    check_port,
    check_port_number,
    check_reference,
    refuse,
)


def check_http_route(path: str, route: HTTPRoute, report: Reporter) -> None:
    actions = {
        "forwardTo": route.forward_to is not None,
        "delegate": route.delegate is not None,
        "redirect": route.redirect is not None,
        "directResponse": route.direct_response is not None,
        "graphql": route.graphql is not None,
    }
    check_one_of(report, path, actions)
    check_labels(report, f"{path}.labels", route.labels)
    for i, matcher in enumerate(route.matchers):
        _check_matcher(f"{path}.matchers[{i}]", matcher, report)
    if route.forward_to is not None:
        _check_forward(f"{path}.forwardTo", route.forward_to, report)
    if route.direct_response is not None:
        _check_direct_response(f"{path}.directResponse", route.direct_response, report)
    if route.graphql is not None:
        given = {
            "schema": route.graphql.schema is not None,
            "stitchedSchema": route.graphql.stitched_schema is not None,
        }
        check_one_of(report, f"{path}.graphql", given)


def _check_matcher(path: str, matcher: HTTPRequestMatcher, report: Reporter) -> None:
    if matcher.uri is not None:
        uri = matcher.uri
        given = {
            "exact": bool(uri.exact),
            "prefix": bool(uri.prefix),
            "regex": bool(uri.regex),
            "suffix": bool(uri.suffix),
        }
        check_one_of(report, f"{path}.uri", given)
    check_port_number(report, f"{path}.port", matcher.port)
    for name, wanted in (
        ("headers", [header.name for header in matcher.headers]),
        ("queryParameters", [parameter.name for parameter in matcher.query_parameters]),
    ):
        for i, text in enumerate(wanted):
            if not text:
                refuse(report, f"{path}.{name}[{i}].name", "is missing; write the name to look for")


def _check_forward(path: str, forward: ForwardToAction, report: Reporter) -> None:
    paths = {"pathRewrite": bool(forward.path_rewrite), "regexRewrite": forward.regex_rewrite is not None}
    check_one_of(report, path, paths)
    check_one_of(
        report, path, {"hostRewrite": bool(forward.host_rewrite), "autoHostRewrite": forward.auto_host_rewrite}
    )
    check_destinations(path, forward.destinations, report)


def check_destinations(path: str, destinations: Sequence[DestinationReference], report: Reporter) -> None:
    """`path` is that of the action."""
    check_length(report, f"{path}.destinations", destinations, MOST_DESTINATIONS)
    for i, destination in enumerate(destinations):
        check_destination(f"{path}.destinations[{i}]", destination, report)


def check_destination(path: str, destination: DestinationReference, report: Reporter) -> None:
    check_one_of(report, path, {"ref": destination.ref is not None, "awsLambda": destination.aws_lambda is not None})
    if destination.ref is not None:
        check_reference(report, f"{path}.ref", destination.ref)
    if destination.aws_lambda is not None and destination.aws_lambda.cloud_provider is not None:
        check_reference(report, f"{path}.awsLambda.cloudProvider", destination.aws_lambda.cloud_provider)
    check_port(report, f"{path}.port", destination.port)


def _check_direct_response(path: str, response: DirectResponseAction, report: Reporter) -> None:
    if not 100 <= response.status <= 599:
        refuse(report, f"{path}.status", f"must be 100 to 599, not {response.status}")
    size = len(response.body.encode())
    if size > LONGEST_BODY:
        refuse(report, f"{path}.body", f"has {size} bytes, at most {LONGEST_BODY} are allowed")
