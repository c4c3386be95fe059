"""Routes as Envoy's Route: one per matcher, all with the name and the action of the route (routing.md §4.9, §6).

What Istio writes and a bare Envoy lacks is written out, so that both data planes behave alike
(policies-traffic.md §1.7, §3.1).
"""

from __future__ import annotations

from typing import Any

from envoy.config.route.v3 import route_components_pb2 as pb

from mgmt.translate import ir
from mgmt.translate.emit.envoy.matcher import fill_match

_REDIRECTS = {
    301: pb.RedirectAction.MOVED_PERMANENTLY,
    302: pb.RedirectAction.FOUND,
    303: pb.RedirectAction.SEE_OTHER,
    307: pb.RedirectAction.TEMPORARY_REDIRECT,
    308: pb.RedirectAction.PERMANENT_REDIRECT,
}
_PREVIOUS_HOSTS = "envoy.retry_host_predicates.previous_hosts"
_PREVIOUS_HOSTS_TYPE = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"


def _default_retries() -> Any:
    retry = pb.VirtualHost().retry_policy
    retry.retry_on = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    retry.num_retries.value = 2
    retry.host_selection_retry_max_attempts = 5
    predicate = retry.retry_host_predicate.add(name=_PREVIOUS_HOSTS)
    predicate.typed_config.type_url = _PREVIOUS_HOSTS_TYPE
    return retry


DEFAULT_RETRIES = _default_retries()
"""What every virtual host carries, and Envoy takes for each route without retries of its own. In the routes it would
double their size, and an edit costs what its pieces weigh."""


def _default_action() -> Any:
    action = pb.RouteAction()
    action.timeout.SetInParent()  # 0s is no limit; left out it would be 15s
    # A gRPC client's own deadline counts. Istio says so with max_grpc_timeout, whose deprecation Envoy logs per route.
    action.max_stream_duration.grpc_timeout_header_max.SetInParent()
    return action


_DEFAULTS = _default_action()


def encode_routes(route: ir.Route, port: int) -> list[tuple[bytes, bool]]:
    """Serialized Routes for the listeners with Service port `port`, each with whether it catches everything; none when
    all matchers name other ports.
    """
    matchers = [matcher for matcher in route.matchers if matcher.port in (0, port)]
    if not matchers:
        return []
    common = pb.Route(name=route.name)
    common.decorator.operation = route.name
    _fill_action(common, route.action)
    out: list[tuple[bytes, bool]] = []
    for matcher in matchers:
        common.match.Clear()
        fill_match(common.match, matcher)
        out.append((common.SerializeToString(deterministic=True), matcher.catch_all))
    return out


def _fill_action(out: Any, action: ir.Action) -> None:
    if isinstance(action, ir.Forward):
        _fill_forward(out.route, action)
    elif isinstance(action, ir.Redirect):
        out.redirect.response_code = _REDIRECTS[action.status]
        out.redirect.host_redirect = action.host
        if action.path:
            out.redirect.path_redirect = action.path
    else:
        out.direct_response.status = action.status
        if action.body:
            out.direct_response.body.inline_string = action.body


def _fill_forward(out: Any, action: ir.Forward) -> None:
    out.CopyFrom(_DEFAULTS)
    if len(action.destinations) == 1:
        out.cluster = action.destinations[0].destination.cluster_name
    else:
        for weighted in action.destinations:
            cluster = out.weighted_clusters.clusters.add(name=weighted.destination.cluster_name)
            cluster.weight.value = weighted.weight
            if weighted.host_rewrite:
                cluster.host_rewrite_literal = weighted.host_rewrite
    if action.path_rewrite:
        out.prefix_rewrite = action.path_rewrite
    if action.regex_rewrite is not None:
        out.regex_rewrite.pattern.regex, out.regex_rewrite.substitution = action.regex_rewrite
    if action.host_rewrite:
        out.host_rewrite_literal = action.host_rewrite
