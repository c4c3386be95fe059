"""Waiting for conditions: always bounded, never longer than needed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NotInTime(Exception):
    """The message says what was waited for, how long, and what was seen last."""


_PAUSE = 0.01


def until(look: Callable[[], T], holds: Callable[[T], bool], what: str, *, within: float = 20.0) -> T:
    """Looks again and again; answers with the first look that holds."""
    end = time.monotonic() + within
    while True:
        seen = look()
        if holds(seen):
            return seen
        if time.monotonic() > end:
            raise NotInTime(f"{what}: not within {within:.0f} s, last seen: {seen}")
        time.sleep(_PAUSE)
