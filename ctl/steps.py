"""What a command that changes things has done so far, step by step, as it happens; one document with -o json."""

from __future__ import annotations

import time
from typing import Any

from ctl.flags import current
from ctl.output import paint


class Steps:
    """`dry`: nothing is done, and each step says what would be."""

    def __init__(self, *, dry: bool = False) -> None:
        self.dry = dry
        self.told: list[dict[str, Any]] = []
        self._began = time.monotonic()

    def done(self, text: str) -> None:
        self._tell("ok", text)

    def told_first(self, text: str) -> None:
        """What a person should know before anything is done."""
        self._tell("info", text)

    def kept(self, text: str) -> None:
        """It was so before."""
        self._tell("same", text)

    def would(self, text: str) -> None:
        self._tell("would", text)

    def warn(self, text: str) -> None:
        self._tell("warn", text)

    def _tell(self, result: str, text: str) -> None:
        after = f"{time.monotonic() - self._began:.1f}s"
        self.told.append({"result": result, "message": text, "after": after})
        flags = current()
        if flags.structured or flags.output == "name" or (flags.quiet and result != "warn"):
            return
        color = {"ok": "ok", "warn": "warn"}.get(result, "bold")
        at = f" (after {after})" if flags.verbose else ""
        print(f" {paint(result.ljust(5), color)} {text}{at}", flush=True)
