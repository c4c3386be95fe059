"""Weights of destinations: what is not specified shares what is left of 100 (routing.md §6.1.4)."""

from __future__ import annotations

from collections.abc import Sequence

from mgmt.translate.routing.errors import WEIGHTS, RouteError

WHOLE = 100


def share_weights(weights: Sequence[int]) -> tuple[int, ...] | RouteError:
    """0 means "not specified". A single destination takes everything, whatever its weight says."""
    if len(weights) == 1:
        return (WHOLE,)
    total = sum(weights)
    unspecified = sum(1 for weight in weights if not weight)
    rest = WHOLE - total
    if not unspecified:
        if rest:
            return RouteError(WEIGHTS, f"weights of destinations sum to {total}, must be {WHOLE}")
        return tuple(weights)
    if rest < unspecified:
        reason = f"weights of destinations sum to {total}, must be at most {WHOLE - unspecified}"
        return RouteError(WEIGHTS, f"{reason} to leave each of the {unspecified} without a weight at least 1")
    each, more = divmod(rest, unspecified)
    out: list[int] = []
    for weight in weights:
        out.append(weight or each + (1 if more > 0 else 0))
        more -= 0 if weight else 1
    return tuple(out)
