"""What happens to a request at each gateway, from the translator's present state and without sending it (cli.md §4.2).

The answer has to be Envoy's own: which listener, which host, which route, in the order in which Envoy looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from fingerpost.api.internal.discovered_gateway import GatewayKind
from fingerpost.objects import ObjectKey
from fingerpost.relay.objects import ISTIO_SCOPE
from fingerpost.relay.route_forms import Form
from mgmt.explain.answer import (
    Explanation,
    GatewayAnswer,
    HostAnswer,
    ListenerAnswer,
    Place,
    RequestAnswer,
    RouteAnswer,
    Verdict,
    named,
)
from mgmt.explain.candidates import MOST_NEAR, Candidate, candidates, feeds_of, near_misses, taken
from mgmt.explain.destination import explain_destination
from mgmt.explain.host import Chosen, choose_host, nearest_hosts
from mgmt.explain.listener import Entrance, enter
from mgmt.explain.request import Asked, parse_request
from mgmt.explain.serving import IstioServing, Serving
from mgmt.explain.words import action_text, matcher_text
from mgmt.translate import ir
from mgmt.translate.emit.envoy.listener import listener_name
from mgmt.translate.routing.gateway_plan import Feed, requires_tls
from mgmt.translate.routing.gateways import GatewayView
from mgmt.translate.scopes import GatewayKey
from mgmt.translate.translator import Translator, gateway_key


class UnknownGateway(LookupError):
    """No gateway is called so; the message lists those there are."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a gateway beside the translation: how far it has got, and which contributions are held back.

    `kept` maps a contribution to the reason why its older version is still served.
    """

    arrived: str = ""  # "applied, version 881"
    kept: Mapping[str, str] = {}


_NOTHING_KNOWN = Standing()


def explain_route(
    translator: Translator,
    request: Asked,
    gateway: str | None = None,
    standings: Mapping[GatewayKey, Standing] | None = None,
    in_force: Callable[[str], Translator] | None = None,
) -> Explanation:
    """`gateway` is `cluster/namespace/name` of the gateway Service; None means all of them. `in_force`: the translator
    that the gateways of a cluster follow, where that is not `translator` for all. Raises UnknownGateway.
    """
    chosen = _gateways(translator, gateway)
    known = standings or {}
    answers = tuple(
        _at_gateway(
            in_force(key.cluster) if in_force else translator,
            key,
            view,
            request,
            known.get(_scope(key, view), _NOTHING_KNOWN),
        )
        for key, view in chosen
    )
    notes = () if chosen else ("no gateway has been discovered in any cluster",)
    shown = RequestAnswer(
        method=request.method,
        scheme=request.scheme,
        authority=request.authority,
        path=request.on_port(request.port).header(":path")[0],
        port=request.port,
    )
    return Explanation(request=shown, gateways=answers, notes=notes)


def explain_url(
    translator: Translator,
    url: str,
    method: str = "GET",
    headers: tuple[tuple[str, str], ...] = (),
    gateway: str | None = None,
    standings: Mapping[GatewayKey, Standing] | None = None,
) -> Explanation:
    """The same from a URL. Raises BadRequest or UnknownGateway."""
    return explain_route(translator, parse_request(url, method, headers), gateway, standings)


def _gateways(translator: Translator, wanted: str | None) -> list[tuple[ObjectKey, GatewayView]]:
    everything = sorted(translator.gateways.gateways.items.items())
    if wanted is None:
        return everything
    found = [item for item in everything if _label(item[0]) == wanted]
    if not found:
        there = ", ".join(_label(key) for key, _ in everything) or "none"
        raise UnknownGateway(f'no gateway is called "{wanted}"; there are: {there}')
    return found


def _scope(key: ObjectKey, view: GatewayView) -> GatewayKey:
    return (key.cluster, ISTIO_SCOPE) if view.spec.gateway_kind is GatewayKind.ISTIO else gateway_key(key)


def _label(key: ObjectKey) -> str:
    return f"{key.cluster}/{key.namespace}/{key.name}"


def _at_gateway(
    translator: Translator, key: ObjectKey, view: GatewayView, asked: Asked, standing: Standing
) -> GatewayAnswer:
    cluster, name = gateway_key(key)
    about = GatewayAnswer(cluster=cluster, gateway=name, verdict=Verdict.NO_LISTENER, message="")
    entrance = enter(translator, key, view.spec, asked)
    serving = entrance.serving
    if serving is None or entrance.chain is None:
        return msgspec.structs.replace(about, message=f"no listener: {entrance.refusal}")
    about = msgspec.structs.replace(about, written=_written(translator, entrance, standing))
    if asked.path is None:
        listener = _listener(translator, entrance, list(serving.routes.config.feeds))
        message = "the proxy refuses the path with 400, since it cannot be normalized"
        return msgspec.structs.replace(about, verdict=Verdict.REFUSED, status=400, listener=listener, message=message)
    chosen = choose_host(serving, asked.host)
    if chosen is None:
        return _no_host(translator, entrance, serving, asked, about)
    if chosen.redirect:
        return _https_redirect(translator, entrance, serving, chosen, asked, about)
    return _route(translator, entrance, serving, chosen, asked, about, standing)


def _form(translator: Translator, entrance: Entrance, host: str) -> str:
    """Which form the routes have is the agent's to know where the number of hosts is near the one that decides."""
    assert entrance.serving is not None  # noqa: S101 - the caller has a chain
    form = translator.forms.items.get(entrance.serving.routes, Form.PLAIN)
    if form is Form.PLAIN:
        return ""
    scope = f"scope {'*' if host.startswith('*') else host}" if host else "scopes"
    return f" as {scope}" if form is Form.SCOPED else f" (as {scope} if it had scopes before)"


def _written(
    translator: Translator, entrance: Entrance, standing: Standing, host: str = "", tables: Sequence[ObjectKey] = ()
) -> tuple[str, ...]:
    """The resources of a plain Envoy, or the objects that istiod reads. `host`: the one served."""
    if isinstance(entrance.serving, IstioServing):
        made = [f"{obj.key.kind} {obj.key.namespace}/{obj.key.name}" for obj in entrance.serving.objects(tables)]
        resources = ", ".join(made) or f"port {entrance.doors.port} of istiod's listeners"
    else:
        resources = f"listener {listener_name(entrance.doors.port)}"
        if entrance.chain is not None:
            resources += f", routes {entrance.chain.route_config}{_form(translator, entrance, host)}"
    return (f"{resources} ({standing.arrived})" if standing.arrived else resources,)


def _listener(translator: Translator, entrance: Entrance, feeds: list[Feed]) -> ListenerAnswer:
    chain = entrance.chain
    return ListenerAnswer(
        service_port=entrance.doors.service_port,
        port=entrance.doors.port,
        protocol="https" if chain and chain.tls else "http",
        server_names=chain.server_names if chain else (),
        fields=tuple(
            Place(object=named(feed.gateway), path=f"spec.listeners[{feed.listener}]") for feed in dict.fromkeys(feeds)
        ),
        note=entrance.doors.note,
    )


def _no_host(
    translator: Translator, entrance: Entrance, serving: Serving, asked: Asked, about: GatewayAnswer
) -> GatewayAnswer:
    """The nearest hosts, and what their routes would have made of the request."""
    hosts = nearest_hosts(serving, asked.host, MOST_NEAR)
    near = []
    for host in hosts:
        other = choose_host(serving, host)
        if other is None:
            continue
        tried = candidates(translator, serving.routes, other)
        winner = taken(tried, asked)
        for miss in near_misses(tried[winner : winner + 1] if winner is not None else tried, asked, None, host)[:1]:
            reason = f'host "{asked.host}" is not "{host}"'
            near.append(
                msgspec.structs.replace(miss, reason=reason if winner is not None else f"{reason}; {miss.reason}")
            )
    what = f'no route: no table serves the host "{asked.host}" here'
    return msgspec.structs.replace(
        about,
        verdict=Verdict.NO_HOST,
        status=404,
        message=f"{what}, the proxy answers 404" + ("" if hosts else "; no table is bound to this listener"),
        listener=_listener(translator, entrance, list(serving.routes.config.feeds)),
        near=tuple(near),
        hosts=hosts,
    )


def _https_redirect(
    translator: Translator, entrance: Entrance, serving: Serving, chosen: Chosen, asked: Asked, about: GatewayAnswer
) -> GatewayAnswer:
    feeds = [feed for feed in serving.routes.config.feeds if _redirects(translator, feed, chosen.host)]
    return msgspec.structs.replace(
        about,
        verdict=Verdict.HTTPS_REDIRECT,
        status=301,
        message="httpsRedirect: every request for this host is sent to https, no route is looked at",
        listener=_listener(translator, entrance, feeds),
        host=_host(chosen),
    )


def _redirects(translator: Translator, feed: Feed, host: str) -> bool:
    view = translator.gateways.virtual.items.get(feed.gateway)
    plans = view.plans if view else ()
    return any(p.index == feed.listener and p.https_redirect and requires_tls(host, p.hosts) for p in plans)


def _host(chosen: Chosen) -> HostAnswer:
    return HostAnswer(chosen=chosen.host, how=chosen.how, tables=tuple(named(t) for t in chosen.tables))


def _route(
    translator: Translator,
    entrance: Entrance,
    serving: Serving,
    chosen: Chosen,
    asked: Asked,
    about: GatewayAnswer,
    standing: Standing,
) -> GatewayAnswer:
    tried = candidates(translator, serving.routes, chosen)
    winner = taken(tried, asked)
    tables = list(chosen.tables) if winner is None else [tried[winner].table]
    feeds = [feed for table in tables for feed in feeds_of(translator, serving.routes, table)]
    about = msgspec.structs.replace(
        about,
        listener=_listener(translator, entrance, feeds),
        host=_host(chosen),
        near=near_misses(tried, asked, winner),
        notes=tuple(
            f"{named(table)} is held at an older version: {standing.kept[table.contribution]}"
            for table in chosen.tables
            if table.contribution in standing.kept
        ),
    )
    if winner is None:
        return msgspec.structs.replace(
            about,
            verdict=Verdict.NO_ROUTE,
            status=404,
            message=f'no route: none of the routes of host "{chosen.host}" matches, the proxy answers 404',
        )
    answer = _answer(translator, about.cluster, tried[winner])
    clusters = tuple(f"cluster {d.envoy_cluster}" for d in answer.destinations)
    return msgspec.structs.replace(
        about,
        verdict=Verdict.ROUTE,
        status=_status(tried[winner].route.action),
        message=answer.action,
        route=answer,
        written=(*_written(translator, entrance, standing, chosen.host, [tried[winner].table]), *clusters),
    )


def _answer(translator: Translator, cluster: str, candidate: Candidate) -> RouteAnswer:
    route = candidate.route
    forward = route.action.destinations if isinstance(route.action, ir.Forward) else ()
    return RouteAnswer(
        name=route.name,
        field=Place(object=named(route.source.ref), path=route.source.path),
        matcher=matcher_text(candidate.matcher),
        action=action_text(route.action),
        chain=tuple(named(table) for table in route.chain),
        destinations=tuple(explain_destination(translator, cluster, weighted) for weighted in forward),
    )


def _status(action: ir.Action) -> int:
    return 0 if isinstance(action, ir.Forward) else action.status
