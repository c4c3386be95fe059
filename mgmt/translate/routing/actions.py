"""Actions: what a route does, as far as the table alone decides it (routing.md §6).

Destinations stay references here. An action that cannot be carried out is a RouteError; what answers in its place is
decided in one spot, `replacement`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fingerpost.api.base import RegexMatchAndSubstitute
from fingerpost.api.common import DestinationReference
from fingerpost.api.networking.route_table import (
    DirectResponseAction,
    ForwardToAction,
    HTTPRoute,
    RedirectAction,
)
from fingerpost.objects import ObjectKey
from mgmt.translate import ir
from mgmt.translate.check.regex import regex_problem
from mgmt.translate.routing.errors import ACTION, DELEGATION, DESTINATION, RouteError
from mgmt.translate.routing.hosts import hostname_problem
from mgmt.translate.routing.plan import PlannedAction, PlannedDestination, PlannedForward
from mgmt.translate.routing.regexes import group_count
from mgmt.translate.routing.weights import share_weights

LONGEST_BODY = 1024 * 1024  # bytes
_MOST_DESTINATIONS = 100
_ACTIONS = ("forwardTo", "delegate", "redirect", "directResponse", "graphql")
_SUBSTITUTION = re.compile(r"\\(.|$)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # Envoy refuses a route configuration with such a header value


def replacement(kind: str) -> ir.DirectResponse:
    """What answers for a misconfigured route; it names no object, strangers read it (routing.md §13.2)."""
    return ir.DirectResponse(status=500, body=f"invalid route configuration: {kind}")


def compile_action(
    route: HTTPRoute, ref: ObjectKey, path: str, default: DestinationReference | None, matchers: Sequence[ir.Matcher]
) -> PlannedAction | RouteError:
    """`path` is the route's own, as in `spec.http[2]`; `matchers` are those that are left of the route."""
    given = (route.forward_to, route.delegate, route.redirect, route.direct_response, route.graphql)
    names = [name for name, action in zip(_ACTIONS, given, strict=True) if action is not None]
    if len(names) != 1:
        found = " and ".join(names) or "none"
        return RouteError(ACTION, f"exactly one of {', '.join(_ACTIONS)} is needed, found {found}")
    if route.forward_to is not None:
        return _forward(route.forward_to, ref, path, default, matchers)
    if route.redirect is not None:
        return _redirect(route.redirect)
    if route.direct_response is not None:
        return _direct_response(route.direct_response)
    if route.delegate is not None:
        return RouteError(DELEGATION, "delegate is not implemented in this version")
    return RouteError(ACTION, "graphql routes are not supported by this installation")


def _forward(
    forward: ForwardToAction,
    ref: ObjectKey,
    path: str,
    default: DestinationReference | None,
    matchers: Sequence[ir.Matcher],
) -> PlannedForward | RouteError:
    if error := _rewrite_error(forward, matchers):
        return RouteError(ACTION, error)
    if len(forward.destinations) > _MOST_DESTINATIONS:
        return RouteError(DESTINATION, f"at most {_MOST_DESTINATIONS} destinations, found {len(forward.destinations)}")
    if forward.destinations:
        written = [(d, f"{path}.forwardTo.destinations[{i}]") for i, d in enumerate(forward.destinations)]
    elif default is not None:
        written = [(default, "spec.defaultDestination")]
    else:
        return RouteError(DESTINATION, "forwardTo has no destinations and the table has no defaultDestination")
    weights = share_weights([d.weight for d, _ in written])
    if isinstance(weights, RouteError):
        return weights
    return PlannedForward(
        destinations=tuple(
            PlannedDestination(ref=d, weight=weight, source=ir.Source(ref, where))
            for (d, where), weight in zip(written, weights, strict=True)
        ),
        path_rewrite=forward.path_rewrite,
        regex_rewrite=_pair(forward.regex_rewrite),
        host_rewrite=forward.host_rewrite,
        auto_host_rewrite=forward.auto_host_rewrite,
    )


def _pair(rewrite: RegexMatchAndSubstitute | None) -> tuple[str, str] | None:
    return (rewrite.pattern.regex if rewrite.pattern else "", rewrite.substitution) if rewrite else None


def _rewrite_error(forward: ForwardToAction, matchers: Sequence[ir.Matcher]) -> str | None:
    if forward.path_rewrite and forward.regex_rewrite is not None:
        return "only one of pathRewrite and regexRewrite may be set"
    if forward.host_rewrite and forward.auto_host_rewrite:
        return "only one of hostRewrite and autoHostRewrite may be set"
    if forward.path_rewrite:
        if any(m.path is not None and m.path.kind is ir.MatchKind.REGEX for m in matchers):
            return "pathRewrite cannot be used with a regex matcher; use regexRewrite"
        if _CONTROL.search(forward.path_rewrite):
            return "pathRewrite contains a control character"
    if forward.host_rewrite and (problem := hostname_problem(forward.host_rewrite)):
        return f'hostRewrite: "{forward.host_rewrite}": {problem}'
    return _regex_rewrite_error(forward.regex_rewrite) if forward.regex_rewrite is not None else None


def _regex_rewrite_error(rewrite: RegexMatchAndSubstitute) -> str | None:
    pattern = rewrite.pattern.regex if rewrite.pattern else ""
    if not pattern:
        return "regexRewrite.pattern.regex is empty"
    if problem := regex_problem(pattern):
        return f"regexRewrite.pattern.regex: {problem}"
    if not rewrite.substitution:
        return "regexRewrite.substitution is empty"
    if _CONTROL.search(rewrite.substitution):
        return "regexRewrite.substitution contains a control character"
    groups = group_count(pattern)
    for after in _SUBSTITUTION.findall(rewrite.substitution):
        if after == "\\":
            continue
        if not (after.isascii() and after.isdigit()):
            return "regexRewrite.substitution: a backslash must be followed by a digit or a backslash"
        if int(after) > groups:
            return f"regexRewrite.substitution: \\{after} refers to a group, but the pattern has {groups}"
    return None


def _redirect(redirect: RedirectAction) -> ir.Redirect | RouteError:
    if not (redirect.host_redirect or redirect.path_redirect):
        return RouteError(ACTION, "redirect needs hostRedirect or pathRedirect")
    if redirect.host_redirect and (problem := hostname_problem(redirect.host_redirect)):
        return RouteError(ACTION, f'redirect.hostRedirect: "{redirect.host_redirect}": {problem}')
    if _CONTROL.search(redirect.path_redirect):
        return RouteError(ACTION, "redirect.pathRedirect contains a control character")
    return ir.Redirect(host=redirect.host_redirect, path=redirect.path_redirect, status=redirect.status)


def _direct_response(response: DirectResponseAction) -> ir.DirectResponse | RouteError:
    if not 200 <= response.status <= 599:
        return RouteError(ACTION, f"directResponse.status must be 200 to 599, not {response.status}")
    if (size := len(response.body.encode())) > LONGEST_BODY:
        return RouteError(ACTION, f"directResponse.body has {size} bytes, at most {LONGEST_BODY} are possible")
    return ir.DirectResponse(status=response.status, body=response.body)
