"""What one RouteTable means before any gateway is known: values between compiling it and resolving its destinations."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from fingerpost.api.common import DestinationReference
from fingerpost.objects import ObjectKey
from fingerpost.problems import Problem
from mgmt.translate import ir
from mgmt.translate.routing.errors import RouteError
from mgmt.translate.routing.names import full_name

MISCONFIGURED: Final = (
    "RouteMisconfigured"  # the code of every route error (routing.md §13.1), found here or by resolving
)


class PlannedDestination(ir.Value, frozen=True):
    """A destination as the user wrote it; `weight` is of 100."""

    ref: DestinationReference
    weight: int
    source: ir.Source


class PlannedForward(ir.Value, frozen=True):
    """A forwardTo whose destinations are not looked up yet."""

    destinations: tuple[PlannedDestination, ...]
    path_rewrite: str = ""
    regex_rewrite: tuple[str, str] | None = None
    host_rewrite: str = ""
    auto_host_rewrite: bool = False


PlannedAction = PlannedForward | ir.Redirect | ir.DirectResponse


class RoutePlan(ir.Value, frozen=True):
    """One route of a table. With an `error` its action already is the replacement, and nothing is left to resolve.

    `chain` leads from the root to the table that it is written in.
    """

    own: str  # its name there, which no other route has
    written: str  # the name by which messages call it
    index: int  # in spec.http
    chain: tuple[ObjectKey, ...]
    matchers: tuple[ir.Matcher, ...]  # never empty
    action: PlannedAction
    labels: tuple[tuple[str, str], ...] = ()  # effective labels (§10), sorted
    error: RouteError | None = None

    @property
    def name(self) -> str:
        """The full name of routing.md §4.6."""
        return full_name(self.own, self.chain)

    @property
    def source(self) -> ir.Source:
        return ir.Source(self.chain[-1], field_of(self.index))


@lru_cache(maxsize=1024)
def field_of(index: int) -> str:
    return f"spec.http[{index}]"


class TablePlan(ir.Value, frozen=True):
    """Everything about a table that no gateway can change. Without hosts it is served nowhere."""

    key: ObjectKey
    hosts: tuple[str, ...]
    routes: tuple[RoutePlan, ...]
    problems: tuple[Problem, ...]  # in the order of the routes, which is the order in which a status joins them

    @property
    def contribution(self) -> str:
        """The text by which pieces name this table."""
        return f"{self.key.type}/{self.key.cluster}/{self.key.namespace}/{self.key.name}"


class Resolver(Protocol):
    """Looks a reference up on behalf of one gateway; it keeps its own warnings."""

    def __call__(self, ref: DestinationReference, source: ir.Source, /) -> ir.Destination | RouteError: ...


class Resolved(NamedTuple):
    """A table as one kind of gateway gets it."""

    routes: tuple[ir.Route, ...]
    destinations: tuple[ir.Destination, ...]  # used by the routes, each once, in order of first use
    problems: tuple[Problem, ...]  # route errors found by resolving
