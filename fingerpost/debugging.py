"""What a process can tell of itself to somebody who looks for a mistake: tasks, memory, sizes. Names and numbers, never
contents: no argument, no local variable and no object of a user is shown (M-6).
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

_TYPES = 100  # at most, in one answer


def page(name: str, types: str, own: Mapping[str, Callable[[], Any]]) -> Any:
    """What `/debug/<name>` answers; `own` are the pages of this process alone. None: there is no such page."""
    pages: dict[str, Callable[[], Any]] = {
        "tasks": lambda: {"tasks": tasks()},
        "memory": lambda: memory(types=min(int(types), _TYPES) if types.isdecimal() else 0),
        **own,
    }
    if not name:
        return {"pages": [f"/debug/{one}" for one in pages]}
    return pages[name]() if name in pages else None


def tasks() -> list[dict[str, Any]]:
    """Each task with where it stands, innermost last."""
    out = []
    for task in asyncio.all_tasks():
        stack = [f"{f.f_code.co_qualname} {_place(f.f_code.co_filename)}:{f.f_lineno}" for f in _frames(task)]
        out.append({"name": task.get_name(), "stack": stack})
    return sorted(out, key=lambda one: str(one["name"]))


def _frames(task: asyncio.Task[Any]) -> list[Any]:
    """Down the chain of awaits; `Task.get_stack` knows only the outermost."""
    frames = []
    inner: Any = task.get_coro()
    while inner is not None:
        frame = getattr(inner, "cr_frame", None) or getattr(inner, "gi_frame", None) or getattr(inner, "ag_frame", None)
        if frame is None:
            break
        frames.append(frame)
        inner = getattr(inner, "cr_await", None) or getattr(inner, "gi_yieldfrom", None)
    return frames


def _place(path: str) -> str:
    """Without the folders of this machine."""
    parts = path.split("/")
    for root in ("site-packages", "fingerpost", "mgmt", "agent"):
        if root in parts[:-1]:
            at = len(parts) - 1 - parts[::-1].index(root)
            return "/".join(parts[at + 1 if root == "site-packages" else at :])
    return parts[-1]


def memory(*, types: int = 0) -> dict[str, Any]:
    """`types`: also the commonest types among the objects that the collector walks, which takes a while."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found: dict[str, Any] = {
        "maxResidentBytes": usage.ru_maxrss * 1024,
        "cpuSeconds": round(usage.ru_utime + usage.ru_stime, 3),
        "threads": threading.active_count(),
        "collector": {
            "counts": gc.get_count(),
            "thresholds": gc.get_threshold(),
            "frozen": gc.get_freeze_count(),
            "generations": gc.get_stats(),
        },
        "python": sys.version.partition(" ")[0],
    }
    if types:
        counted = Counter(f"{type(o).__module__}.{type(o).__qualname__}" for o in gc.get_objects())
        found["types"] = dict(counted.most_common(types))
    return found
