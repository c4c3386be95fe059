"""How a story is told: one chapter after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from demo.client import NoAnswer
from demo.paper import Paper
from demo.waiting import NotInTime

P = TypeVar("P")
Chapter = tuple[str, Callable[[P, Paper], None]]  # its title, and what happens in it


def tell(
    story: Iterable[Chapter[P]], plane: P, paper: Paper, *, first: int = 1, after: Callable[[], None] = lambda: None
) -> None:
    """What comes too late is noted, and the story goes on. `after` each chapter may raise what ends it."""
    for number, (title, chapter) in enumerate(story, first):
        paper.chapter(number, title)
        try:
            chapter(plane, paper)
        except (NotInTime, NoAnswer) as late:
            paper.check(title, "in time", str(late))
        after()
