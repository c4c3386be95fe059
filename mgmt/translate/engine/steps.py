"""Steps and folds, the two kinds of derived collections.

A step is one function per source item, its outputs keyed, its reads remembered; a fold is a group's state, fed with
deltas only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from mgmt.translate.engine.collections import Collection, Context, Reads

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
K2 = TypeVar("K2", bound=Hashable)
V2 = TypeVar("V2")
G = TypeVar("G", bound=Hashable)
Out = TypeVar("Out")
Item = TypeVar("Item", contravariant=True)
Result = TypeVar("Result", covariant=True)


class Step(Collection[K2, V2], Generic[K, V, K2, V2]):
    """`run(context, key, value)` returns the outputs of one source item.

    An exception keeps the last outputs and is noted in `failures`.
    """

    def __init__(self, name: str, source: Collection[K, V], run: Callable[[Context, K, V], Mapping[K2, V2]]) -> None:
        super().__init__(name)
        self._source = source
        self._run = run
        self.dirty: dict[Hashable, None] = {}
        self.failures: dict[K, Exception] = {}
        # by source key; None while each item has the key of its source, and so tells by itself what it is made of
        self._outputs: dict[Any, tuple[K2, ...]] | None = None
        self._reads: dict[Any, Reads] = {}
        self._last: Reads = ()
        self.runs = 0

    def turn(self) -> int:
        """Run what is dirty; returns how many runs that took."""
        for key in self._source.delta:
            self.dirty[key] = None
        dirty: dict[Any, None] = self.dirty
        self.dirty = {}
        mine = [key for key in dirty if self._concerns(key)]
        for key in mine:
            self._run_one(key)
        self.runs += len(mine)
        return len(mine)

    def _concerns(self, key: Any) -> bool:
        """Whether there is something to run for, or was."""
        return key in self._source.items or key in self._reads or key in self.failures or bool(self._former(key))

    def _run_one(self, key: K) -> None:
        value = self._source.items.get(key)
        context = Context((self, key))
        outputs: Mapping[K2, V2] = {}
        if value is not None:
            try:
                outputs = self._run(context, key, value)
            except Exception as error:  # noqa: BLE001  one unit is isolated; the graph reports it with the object's name (M-54)
                self.failures[key] = error
                self._remember(key, context)
                return
        self.failures.pop(key, None)
        self._remember(key, context)
        for former in self._former(key):
            if former not in outputs:
                self.put(former, None)
        for out_key, out in outputs.items():
            self.put(out_key, out)
        self._note(key, tuple(outputs))

    def _remember(self, key: K, context: Context) -> None:
        reads = context.commit(self._reads.pop(key, ()))
        if reads == self._last:  # like objects read the same
            reads = self._last
        if reads:
            self._reads[key] = self._last = reads

    def _former(self, key: Any) -> tuple[K2, ...]:
        if self._outputs is None:
            return (key,) if key in self.items else ()
        return self._outputs.get(key, ())

    def _note(self, key: Any, outputs: tuple[K2, ...]) -> None:
        if self._outputs is None:
            if outputs in ((), (key,)):
                return
            self._outputs = {one: (one,) for one in self.items if one not in outputs}
        if outputs:
            self._outputs[key] = outputs
        else:
            self._outputs.pop(key, None)


class Reducer(Protocol[Item, Result]):
    """The state of one group. It sees each item's old and new value and nothing else."""

    def change(self, key: Any, old: Item | None, new: Item | None) -> None: ...

    def result(self) -> Result | None:
        """The group's output; None when the group is empty and shall vanish."""
        ...


class Present:
    """A reducer that only tells whether anything is in the group: True or nothing."""

    def __init__(self, group: object) -> None:
        self._count = 0

    def change(self, key: object, old: object | None, new: object | None) -> None:
        self._count += (new is not None) - (old is not None)

    def result(self) -> bool | None:
        return True if self._count else None


class Fold(Collection[G, Out], Generic[K, V, G, Out]):
    """Groups the items of collections (with distinct keys) and reduces each group incrementally."""

    def __init__(
        self,
        name: str,
        sources: Sequence[Collection[K, V]],
        groups: Callable[[K, V], Iterable[G]],
        reducer: Callable[[G], Reducer[V, Out]],
    ) -> None:
        super().__init__(name)
        self._sources = sources
        self._groups = groups
        self._make = reducer
        self._states: dict[G, Reducer[V, Out]] = {}

    def turn(self) -> int:
        touched: dict[G, None] = {}
        for key, (old, new) in (item for source in self._sources for item in source.delta.items()):
            before = set(self._groups(key, old)) if old is not None else set()
            after = set(self._groups(key, new)) if new is not None else set()
            for group in before | after:
                state = self._states.get(group)
                if state is None:
                    state = self._states[group] = self._make(group)
                state.change(key, old if group in before else None, new if group in after else None)
                touched[group] = None
        for group in touched:
            result = self._states[group].result()
            if result is None:
                del self._states[group]
            self.put(group, result)
        return len(touched)
