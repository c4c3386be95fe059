"""Names of routes: what a user calls a route, what Envoy logs for it (routing.md §4.6)."""

from __future__ import annotations

from collections.abc import Sequence

from fingerpost.objects import ObjectKey

_RESERVED = "insecure-"


def trimmed(name: str) -> str:
    """Without the prefix that is reserved for routes which a deny-all leaves open."""
    return name.removeprefix(_RESERVED)


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of a table's routes in order: without the reserved prefix, never empty, never twice."""
    used: set[str] = set()
    out: list[str] = []
    for index, written in enumerate(names):
        base = trimmed(written) or f"route-{index}"
        name, n = base, 0
        while name in used:
            n += 1
            name = f"duplicate-{base}-{n}"
        used.add(name)
        out.append(name)
    return tuple(out)


def full_name(name: str, chain: Sequence[ObjectKey]) -> str:
    """`chain` goes from the root to the table of the route; the name goes the other way, nearest parent first."""
    return f"{name}-" + "--".join(f"{table.name}.{table.namespace}.{table.cluster}" for table in reversed(chain))
