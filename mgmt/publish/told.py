"""What agents are told of the arrival of their own objects: the newest of each, in the order in which it became known.

Streams go on from a number, so an agent that reads slowly, or comes later, is told the newest and costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from fingerpost.objects import ObjectKey


class _Entry(NamedTuple):
    number: int
    body: bytes


class Told:
    """Of one cluster."""

    def __init__(self) -> None:
        self._number = 0
        self._entries: dict[ObjectKey, _Entry] = {}  # the newest last

    def put(self, key: ObjectKey, body: bytes | None) -> None:
        """None: the object is gone."""
        before = self._entries.get(key)
        if before and before.body == body:
            return
        self._entries.pop(key, None)
        if body is not None:
            self._number += 1
            self._entries[key] = _Entry(self._number, body)

    def after(self, number: int, most: int) -> tuple[int, Sequence[tuple[ObjectKey, bytes]]]:
        """At most so many of those after `number`, the oldest first; and the number of the last of them."""
        if number >= self._number:
            return number, ()
        newer = list(takewhile(lambda item: item[1].number > number, reversed(self._entries.items())))[::-1][:most]
        last = newer[-1][1].number if newer else self._number
        return last, [(key, entry.body) for key, entry in newer]
