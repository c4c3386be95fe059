"""An explanation as text in aligned columns, for people (cli.md §4.2)."""

from __future__ import annotations

from collections.abc import Iterable

from mgmt.explain.answer import DestinationAnswer, Explanation, GatewayAnswer, NearMiss, Place

_LABEL = 12
_Line = tuple[str, str, str]  # label, what, where it comes from


def render(explanation: Explanation) -> str:
    """Ends without a line break."""
    request = explanation.request
    lines = [f"request     {request.method} {request.scheme}://{request.authority}{request.path}"]
    lines += [f"note        {note}" for note in explanation.notes]
    for answer in explanation.gateways:
        lines += ["", *_aligned(_gateway(answer))]
    return "\n".join(lines)


def _aligned(lines: Iterable[_Line]) -> list[str]:
    found = list(lines)
    width = min(max((len(what) for _, what, where in found if where), default=0), 60)
    return [
        f"{label:<{_LABEL}}{what:<{width}}  {where}" if where else f"{label:<{_LABEL}}{what}"
        for label, what, where in found
    ]


def _place(place: Place) -> str:
    return f"{place.object}  {place.path.removeprefix('spec.')}  (cluster {place.object.cluster})"


def _gateway(answer: GatewayAnswer) -> Iterable[_Line]:
    yield "gateway", f"{answer.cluster}/{answer.gateway}", ""
    yield from _listener(answer)
    if answer.host is not None:
        names = ", ".join(str(table) for table in answer.host.tables)
        how = "" if answer.host.how == "exact" else f" ({answer.host.how})"
        yield "host", f"{answer.host.chosen}{how}", names or "no table"
    route = answer.route
    if route is None:
        yield "result", answer.message, ""
        yield from _hosts(answer)
        yield from _near("nearest", answer.near)
    else:
        yield "route", f"{route.name}  {route.matcher}", _place(route.field)
        yield "action", route.action, ""
        for destination in route.destinations:
            yield from _destination(destination, len(route.destinations) > 1)
        yield from _near("not taken", answer.near)
    for i, written in enumerate(answer.written):
        yield "" if i else "written as", written, ""
    for note in answer.notes:
        yield "note", note, ""


def _listener(answer: GatewayAnswer) -> Iterable[_Line]:
    listener = answer.listener
    if listener is None:
        return
    sni = f", SNI {', '.join(listener.server_names)}" if listener.server_names else ""
    note = f" ({listener.note})" if listener.note else ""
    what = f"{listener.service_port} {listener.protocol}{sni}{note}"
    for i, field in enumerate(listener.fields):
        yield ("", "", _place(field)) if i else ("listener", what, _place(field))
    if not listener.fields:
        yield "listener", what, ""


def _hosts(answer: GatewayAnswer) -> Iterable[_Line]:
    if answer.hosts:
        yield "served", ", ".join(answer.hosts), ""


def _destination(answer: DestinationAnswer, weighted: bool) -> Iterable[_Line]:
    share = f" ({answer.weight} of 100)" if weighted else ""
    subset = "".join(f", {key}={value}" for key, value in answer.subset)
    field = _place(answer.field) if answer.field else ""
    yield "destination", f"{answer.object} {answer.host}:{answer.port}{subset}{share}", field
    for endpoints in answer.endpoints:
        cluster = f"{endpoints.cluster}: " if endpoints.cluster else ""
        details = ", ".join(part for part in ("local" if endpoints.local else "", endpoints.order) if part)
        yield "", f"{cluster}{endpoints.text}{f' ({details})' if details else ''}", ""
    for policy in answer.policies:
        yield "policies", str(policy.policy), ""
    for policy in answer.not_applied:
        yield "", f"not applied: {policy.policy} ({policy.reason})", ""


def _near(label: str, near: Iterable[NearMiss]) -> Iterable[_Line]:
    for i, miss in enumerate(near):
        yield "" if i else label, f"{miss.route}  {miss.matcher}", miss.reason
