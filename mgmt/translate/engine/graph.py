"""The engine: a list of nodes in the order in which they were made.

That is a topological order, since a node reads only earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from mgmt.translate.engine.collections import Collection, Context, Input
from mgmt.translate.engine.steps import Fold, Reducer, Step

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
K2 = TypeVar("K2", bound=Hashable)
V2 = TypeVar("V2")
G = TypeVar("G", bound=Hashable)
Out = TypeVar("Out")


class Failure(NamedTuple):
    """A unit that raised. Its last good output is still in force."""

    node: str
    key: Any
    error: Exception


class Engine:
    """Single-threaded. `turn()` carries all changes of the inputs through the graph, each node at most once."""

    def __init__(self) -> None:
        self._inputs: list[Collection[Any, Any]] = []
        self._nodes: list[Step[Any, Any, Any, Any] | Fold[Any, Any, Any, Any]] = []

    def input(self, name: str) -> Input[Any, Any]:
        made: Input[Any, Any] = Input(name)
        self._inputs.append(made)
        return made

    def step(
        self, name: str, source: Collection[K, V], run: Callable[[Context, K, V], Mapping[K2, V2]]
    ) -> Step[K, V, K2, V2]:
        made = Step(name, source, run)
        self._nodes.append(made)
        return made

    def fold(
        self,
        name: str,
        sources: Sequence[Collection[K, V]],
        groups: Callable[[K, V], Iterable[G]],
        reducer: Callable[[G], Reducer[V, Out]],
    ) -> Fold[K, V, G, Out]:
        made = Fold(name, sources, groups, reducer)
        self._nodes.append(made)
        return made

    def turn(self) -> int:
        """Returns the number of steps run. The deltas of all collections stay readable until `settle`."""
        return sum(node.turn() for node in self._nodes)

    def settle(self) -> None:
        for collection in self._inputs:
            collection.settle()
        for node in self._nodes:
            node.settle()

    def sizes(self) -> list[dict[str, int | str]]:
        """`runs` 0: an input, which never runs."""
        return [
            {"name": one.name, "items": len(one.items), "runs": getattr(one, "runs", 0)}
            for one in (*self._inputs, *self._nodes)
        ]

    def failures(self) -> list[Failure]:
        return [
            Failure(node.name, key, error)
            for node in self._nodes
            if isinstance(node, Step)
            for key, error in node.failures.items()
        ]
