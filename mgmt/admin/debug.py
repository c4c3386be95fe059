"""`/debug/`: tasks, memory, the engine's steps, and how long the queues are. Names and numbers only (M-6)."""

from __future__ import annotations

from typing import Any

from fingerpost import debugging
from mgmt.admin.ports import Plane

PAGES = ("tasks", "memory", "engine", "queues")
_TYPES = 100


def page(plane: Plane, name: str, types: int) -> Any:
    """None: there is no such page."""
    match name:
        case "":
            return {"pages": [f"/debug/{one}" for one in PAGES]}
        case "tasks":
            return {"tasks": debugging.tasks()}
        case "memory":
            return debugging.memory(types=min(types, _TYPES))
        case "engine":
            return {"nodes": plane.translator.sizes()}
        case "queues":
            return {"journal": plane.journal.sizes, **plane.queues()}
        case _:
            return None
