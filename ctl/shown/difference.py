"""A difference in lines: `+` comes, `-` goes, `~` is another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ctl.output import counted, paint
from mgmt.snapshot.diff import Difference, ObjectChange, RequestChange, ResourceChange, RouteChange

_SIGNS = {"add": ("+", "ok"), "change": ("~", "warn"), "remove": ("-", "fail")}
_MOST = 3  # gateways that are named


def text(found: Difference) -> str:
    if found.empty:
        return "no difference"
    parts = [
        *_part("Objects", [_object(o) for o in found.objects]),
        *_part("Requests that are answered otherwise", [_request(r) for r in found.requests]),
        *_part("Routes", [_route(r) for r in found.routes]),
        *_part("Emitted resources", [_resource(r) for r in found.resources]),
    ]
    return "\n".join([*parts, summary(found)])


def _part(title: str, lines: Sequence[str]) -> Iterable[str]:
    return [paint(title, "bold"), *lines, ""] if lines else []


def _signed(change: str, line: str) -> str:
    sign, color = _SIGNS[change]
    return "  " + paint(f"{sign} {line}", color)


def _object(o: ObjectChange) -> str:
    where = f"{o.namespace}/{o.name}" if o.namespace else o.name
    state = o.state if o.state in ("", o.state_before) or not o.state_before else f"{o.state_before} -> {o.state}"
    said = "  ".join(part for part in (state, o.message) if part)
    return _signed(o.change, f"{o.kind} {where} in {o.cluster}" + (f"  {said}" if said else ""))


def _request(r: RequestChange) -> str:
    lines = [
        _signed(r.change, r.request),
        f"      was  {_told(r.was, r.route_was)}",
        f"      now  {_told(r.now, r.route)}",
    ]
    return "\n".join([*lines, f"      at   {_few(r.doors)}"])


def _told(answer: str, route: str) -> str:
    return f"{answer}  (route {route})" if route else answer


def _route(r: RouteChange) -> str:
    gone, come = [x for x in r.was if x not in r.now], [x for x in r.now if x not in r.was]
    if not gone and not come:
        come = ["its matchers are tried in another order"]
    lines = [_signed(r.change, f"{r.host}  {r.route}  at {_few(r.doors)}")]
    return "\n".join([*lines, *(f"      - {x}" for x in gone), *(f"      + {x}" for x in come)])


def _resource(r: ResourceChange) -> str:
    origin = f"  from {', '.join(r.origins)}" if r.origins else ""
    return _signed(r.change, f"{r.type} {r.name}  at {_few(r.gateways)}{origin}")


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST])
    return shown if len(names) <= _MOST else f"{shown} and {len(names) - _MOST} more"


def summary(found: Difference) -> str:
    clusters = {gateway.partition("/")[0] for r in found.resources for gateway in r.gateways}
    parts = [counted(len(found.objects), "object"), counted(len(found.requests), "kind") + " of requests"]
    parts += [counted(len(found.routes), "route"), counted(len(found.resources), "resource")]
    return f"{', '.join(parts)}; gateways of {counted(len(clusters), 'cluster')} get something new"
