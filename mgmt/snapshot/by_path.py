"""Matchers found by their paths, so that a table of ten thousand routes costs no hundred million comparisons."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from mgmt.translate import ir
from mgmt.translate.routing.covering import beginning, covers


class Covering:
    """Finds the first of `matchers`, in their order, that takes every request of another one."""

    def __init__(self, matchers: Sequence[ir.Matcher]) -> None:
        self._matchers = matchers
        self._exact: dict[str, list[int]] = {}
        self._prefix: dict[str, list[int]] = {}
        self._others: list[int] = []
        for number, matcher in enumerate(matchers):
            text, whole = beginning(matcher.path)
            if text in ("", "/"):  # any path, also one that is not told
                self._others.append(number)
            else:
                (self._exact if whole else self._prefix).setdefault(text, []).append(number)

    def first(self, matcher: ir.Matcher, before: int | None = None) -> int | None:
        """Its number; only of those below `before`."""
        end = len(self._matchers) if before is None else before
        found = end
        for number in self._possible(matcher.path):
            if number < found and covers(self._matchers[number], matcher):
                found = number
        return found if found < end else None

    def _possible(self, path: ir.PathMatch | None) -> Iterator[int]:
        yield from self._others
        if path is None:
            return
        text, whole = beginning(path)
        if whole:
            yield from self._exact.get(text, ())
        for length in range(1, len(text) + 1):
            yield from self._prefix.get(text[:length], ())


class Overlapping:
    """Finds those of `matchers` whose paths may have a request in common with that of another one."""

    def __init__(self, matchers: Sequence[ir.Matcher]) -> None:
        beginnings = [beginning(m.path) for m in matchers]
        self._sorted = sorted(range(len(matchers)), key=lambda number: beginnings[number][0])
        self._texts = [beginnings[number][0] for number in self._sorted]
        self._matchers = matchers
        self._open: dict[str, list[int]] = {}
        for number, (text, whole) in enumerate(beginnings):
            if not whole:
                self._open.setdefault(text, []).append(number)

    def of(self, matcher: ir.Matcher) -> Iterator[ir.Matcher]:
        text, whole = beginning(matcher.path)
        for length in range(len(text)):
            for number in self._open.get(text[:length], ()):
                yield self._matchers[number]
        for position in range(bisect_left(self._texts, text), len(self._texts)):
            found = self._texts[position]
            if not found.startswith(text) or (whole and found != text):
                return
            yield self._matchers[self._sorted[position]]
