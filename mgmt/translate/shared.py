"""Equal sets of which there is one for each of thousands of tables are held once: a set of one takes 216 bytes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T", bound=Hashable)


def shared(members: Iterable[T]) -> frozenset[T]:
    """The one set that equals this one, if it was asked for lately."""
    return _first(frozenset(members))


@lru_cache(maxsize=1024)  # sets that differ from table to table are not worth remembering
def _first(equal: frozenset[Any]) -> frozenset[Any]:
    return equal
