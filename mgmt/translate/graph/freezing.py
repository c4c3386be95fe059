"""FREEZE_CONFIG (routing.md §13.3): a table with a route error keeps its last accepted output, on both data planes.

Here, as with settings (W-37), the past counts: what is frozen is what the former turn gave. It is handed out to be kept
(`Turn.accepted`) and comes back as an input after a restart. Where nobody remembers it, the agents are told to keep
what they hold. Destinations stay live: only what the table itself adds is frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem, Severity
from mgmt.translate.engine import Collection, Context, Engine, Input
from mgmt.translate.ir import Value
from mgmt.translate.routing.plan import MISCONFIGURED
from mgmt.translate.scopes import RouteClass, RouteContribution

if TYPE_CHECKING:
    from mgmt.translate.graph.istio_routes import IstioRouteGraph
    from mgmt.translate.graph.tables import TableGraph, TableInfo

FROZEN = "Frozen"
PREFIX = "frozen/"  # of the names of pins


class Accepted(Value, frozen=True):
    """What a table added when it was last without error. `objects`: by cluster and namespace, for Istio."""

    routes: tuple[tuple[RouteClass, RouteContribution], ...] = ()
    objects: tuple[tuple[tuple[str, str], Any], ...] = ()


class Frozen(Value, frozen=True):
    """`content` None: nobody here knows it."""

    reason: str
    content: Accepted | None = None

    def problem(self, ref: ObjectKey) -> Problem:
        message = f"configuration is frozen: its last accepted version stays in force because of {self.reason}"
        return Problem(ref=ref, severity=Severity.INVALID, code=FROZEN, message=message)


class FreezeGraph:
    """`frozen`: the tables that are. `decode` makes the content of a pin from its bytes."""

    def __init__(
        self,
        engine: Engine,
        tables: TableGraph,
        routes: IstioRouteGraph,
        accepted: Input[ObjectKey, bytes],
        decode: Callable[[bytes], Accepted],
    ) -> None:
        self._tables, self._routes = tables, routes
        self._decode = decode
        self._accepted = engine.step("accepted tables", accepted, self._read)
        self.frozen = engine.step("frozen tables", tables.tables, self._freeze)

    def _read(self, context: Context, key: ObjectKey, body: bytes) -> dict[ObjectKey, Accepted]:
        try:
            return {key: self._decode(body)}
        except msgspec.MsgspecError:  # of another version of this server: the agents keep what they hold
            return {}

    def _freeze(self, context: Context, key: ObjectKey, info: TableInfo) -> dict[ObjectKey, Frozen]:
        if not info.freezes:
            return {}
        served = context.get(self._tables.served, key)
        found = (*info.plan.problems, *(served.problems if served else ()), *self._routes.errors(context, key))
        wrong = [p for p in dict.fromkeys(found) if p.code == MISCONFIGURED]
        if not wrong:
            return {}
        accepted = context.get(self._accepted, key)
        return {key: Frozen(reason=wrong[0].message, content=self._content(key) or accepted)}

    def _content(self, key: ObjectKey) -> Accepted | None:
        """Of the former turn; None when the table added nothing then."""
        before = self.frozen.items.get(key)
        if before is not None:
            return before.content
        routes = tuple(sorted(self._tables.former(key), key=lambda item: repr(item[0])))
        objects = tuple(sorted(self._routes.former(key), key=lambda item: item[0]))
        return Accepted(routes=routes, objects=objects) if routes or objects else None


def alike(then: RouteClass, now: RouteClass) -> bool:
    """Whether what was accepted for one class of gateways is for the other, too: the same listeners, also when they
    were edited.
    """
    if then.config.name != now.config.name or then.workspace != now.workspace or then.cluster not in ("", now.cluster):
        return False
    return not {f.gateway for f in then.config.feeds}.isdisjoint(f.gateway for f in now.config.feeds)


def unplaced(content: Accepted | None, places: Iterable[RouteClass]) -> bool:
    """Whether some gateways would lose what is frozen, if they were not told to keep it."""
    there = tuple(places)
    return content is None or any(not any(alike(then, now) for now in there) for then, _ in content.routes)


def pinned(
    frozen: Collection[ObjectKey, Frozen], accepted: Iterable[ObjectKey], encode: Callable[[Accepted], bytes]
) -> dict[ObjectKey, bytes | None]:
    """What is to be kept anew; None: of a table that is not frozen any more. `accepted`: of whom something is kept."""
    out: dict[ObjectKey, bytes | None] = {key: None for key in accepted if key not in frozen.items}
    for key, (old, new) in frozen.delta.items():
        content = new.content if new else None
        if content is not None and (old is None or old.content != content):
            out[key] = encode(content)
        elif new is None:
            out[key] = None
    return out


def key_of_pin(name: str) -> ObjectKey | None:
    """None: it is a pin of another kind."""
    if not name.startswith(PREFIX):
        return None
    return ObjectKey.of_contribution(name.removeprefix(PREFIX))


def pin_of_key(key: ObjectKey) -> str:
    return f"{PREFIX}{key.contribution}"
