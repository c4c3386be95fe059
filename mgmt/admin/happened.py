"""`/events`: what happened of late, and, when asked to wait, what happens next."""

from __future__ import annotations

import asyncio
from typing import Any

from mgmt.admin.ports import Plane
from mgmt.admin.times import rfc3339
from mgmt.changes.events import Event

LONGEST = 30.0


async def happened(plane: Plane, since: int, cluster: str, patience: float) -> dict[str, Any]:
    """At once when there is something newer than `since`, else after `patience` seconds at most."""
    loop = asyncio.get_running_loop()
    end = loop.time() + min(patience, LONGEST)
    while not (found := plane.events.since(since, cluster)) and (left := end - loop.time()) > 0:
        try:
            async with asyncio.timeout(left):
                await plane.events.changed.wait()
        except TimeoutError:
            break
    return {"items": [_shown(event) for event in found]}


def _shown(event: Event) -> dict[str, Any]:
    return {
        "id": str(event.at),
        "time": rfc3339(event.at),
        "type": event.kind.value,
        "cluster": event.cluster,
        "about": event.about,
        "message": event.message,
    }
