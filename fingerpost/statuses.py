"""Reads statuses as they stand in an API server. Who may write them there may have written anything: what has not its
shape counts as not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def part(status: Any, *path: str) -> Mapping[str, Any]:
    """Empty when there is no such mapping."""
    for name in path:
        status = status.get(name) if isinstance(status, Mapping) else None
    return status if isinstance(status, Mapping) else {}


def text(found: Mapping[str, Any], name: str) -> str:
    said = found.get(name)
    return said if isinstance(said, str) else ""


def items(found: Mapping[str, Any], name: str, *texts: str) -> Iterator[dict[str, Any]]:
    """Those of a list that bear all these `texts`."""
    there = found.get(name)
    for one in there if isinstance(there, list | tuple) else ():
        if isinstance(one, Mapping) and all(isinstance(one.get(text), str) for text in texts):
            yield dict(one)


def conditions(status: Any) -> Iterator[dict[str, Any]]:
    """Each with its type, status and message."""
    for found in items(part(status), "conditions", "type", "status"):
        yield found | {"message": text(found, "message")}
