"""Equal values of which there is one for each of thousands of objects are held once."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import TypeVar, cast

T = TypeVar("T", bound=Hashable)


def shared(value: T) -> T:
    """The one that equals this one, if it was asked for lately."""
    return cast("T", _first(value))


@lru_cache(maxsize=1024, typed=True)  # what differs from object to object is not worth remembering
def _first(value: Hashable) -> Hashable:
    return value
