"""How long it takes to bring a translated version to where it belongs: from its publication until a gateway has it
(relay.md §8.1), which is what `gloo_mesh_reconciler_time_sec` measures.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from fingerpost.relay.applied import ScopeApplied
from mgmt.publish.arrival import Arrivals

_MOST = 10_000  # versions whose time is remembered: a gateway that was away for longer is not measured


class ReconcileTime:
    """`observe(seconds)` is called once for each step that a gateway's watermark takes."""

    def __init__(self, observe: Callable[[float], None], now: Callable[[], float]) -> None:
        self._observe, self._now = observe, now
        self._published: OrderedDict[int, float] = OrderedDict()

    def published(self, version: int) -> None:
        if version not in self._published:
            self._published[version] = self._now()
            if len(self._published) > _MOST:
                self._published.popitem(last=False)

    def applied(self, before: Arrivals, cluster: str, scopes: Sequence[ScopeApplied]) -> None:
        """`before`: as it was known until now."""
        now = self._now()
        for applied in scopes:
            known = before.gateways.get((cluster, applied.scope))
            if known is None or applied.watermark == known.watermark:
                continue
            began = self._published.get(applied.watermark)
            if began is not None and applied.watermark > (known.watermark or 0):
                self._observe(now - began)
