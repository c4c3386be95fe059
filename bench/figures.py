"""Figures: one JSON line each on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(prefix: str, milliseconds: Sequence[float]) -> dict[str, float]:
    """`<prefix>p50_ms`, `<prefix>p99_ms`, `<prefix>max_ms`."""
    return {
        f"{prefix}p50_ms": round(percentile(milliseconds, 0.5), 2),
        f"{prefix}p99_ms": round(percentile(milliseconds, 0.99), 2),
        f"{prefix}max_ms": round(max(milliseconds), 2),
    }


def emit(bench: str, **values: Any) -> None:
    print(json.dumps({"bench": bench, **values}), flush=True)


def say(*words: object) -> None:
    print(*words, file=sys.stderr, flush=True)
