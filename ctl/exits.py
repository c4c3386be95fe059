"""Exit codes, and the one exception by which a command ends before its time."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any


class Code(enum.IntEnum):
    """cli.md §1.5."""

    DONE = 0
    FINDINGS = 1
    USAGE = 2
    UNREACHABLE = 3
    TIMEOUT = 4
    FORBIDDEN = 5
    PARTIAL = 6
    REFUSED = 7
    FAULT = 70
    INTERRUPTED = 130


class Failed(Exception):
    """`findings` are printed too: with -o json they are all that a script sees."""

    def __init__(
        self, code: Code, message: str, hint: str = "", name: str = "", findings: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.name = code, message, hint, name
        self.findings = [dict(f) for f in findings] or [
            {"code": name or code.name, "severity": "error", "object": "", "message": message, "hint": hint}
        ]


def usage(message: str, hint: str = "") -> Failed:
    return Failed(Code.USAGE, message, hint)
