"""What the demo prints: chapters, aligned tables, and the count of what was not as expected."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple


class Line(NamedTuple):
    """One thing that was tried."""

    what: str
    expected: str
    came: str
    right: bool


class Paper:
    """Every line goes out at once, so that a waiting reader sees where it stands."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.checked = 0
        self.wrong: list[str] = []

    def chapter(self, number: int, title: str) -> None:
        passed = time.monotonic() - self._began
        self.say("")
        self.say(self._paint("1", f"{number}  {title}") + self._paint("2", f"   ({passed:.0f} s)"))

    def say(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        self.say("   " + text)

    def quote(self, command: str, output: str) -> None:
        """A command as a user would type it, and what it printed."""
        self.say("   " + self._paint("1", f"$ {command}"))
        for line in output.rstrip().splitlines():
            self.say(f"     {line}")

    def check(self, what: str, expected: str, came: str, *, right: bool | None = None) -> bool:
        """One line by itself. `right` absent: equal texts."""
        line = Line(what, expected, came, expected == came if right is None else right)
        self.table((line,), heading=False)
        return line.right

    def table(self, lines: Sequence[Line], *, heading: bool = True) -> None:
        rows: list[tuple[str, str, str]] = [("request", "expected", "came")] if heading else []
        rows += [(line.what, line.expected, line.came) for line in lines]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        for i, row in enumerate(rows):
            text = f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}"
            if heading and i == 0:
                self.say("      " + self._paint("2", text))
                continue
            line = lines[i - heading]
            self.checked += 1
            if not line.right:
                self.wrong.append(f"{line.what}: expected {line.expected}, came {line.came}")
            mark = self._paint("32", "ok ") if line.right else self._paint("31", "NO ")
            self.say(f"   {mark}{text}")

    def verdict(self, logs: str) -> int:
        """The last words, and the exit code: 0 only if all was as expected. `logs`: where there is more to read."""
        self.say("")
        if not self.wrong:
            self.say(f"All {self.checked} checks were as expected.")
            return 0
        self.say(f"{len(self.wrong)} of {self.checked} checks were not as expected:")
        for line in self.wrong:
            self.note(line)
        self.say(f"Logs: {logs}")
        return 1

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text
