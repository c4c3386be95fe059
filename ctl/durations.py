"""Durations as people write them: `10s`, `500ms`, `1m30s`, `10`."""

from __future__ import annotations

import re

from ctl.exits import usage

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")


def seconds(text: str, flag: str) -> float:
    """Raises Failed with the flag's name."""
    total, at = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != at:
            break
        total, at = total + float(part[1]) * _UNITS[part[2]], part.end()
    if not text or at != len(text):
        raise usage(f'{flag} is "{text}", which is no duration', "write for instance 10s, 500ms or 1m30s")
    return total


def spoken(value: float) -> str:
    return f"{value:g}s"
