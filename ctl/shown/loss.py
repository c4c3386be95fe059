"""The answer of `whatif` as tables, worst first; spares only in the wide format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ctl.flags import current
from ctl.output import counted, paint
from ctl.table import table
from mgmt.snapshot.whatif import Effect, RouteEffect, WhatIf

_TITLES = {
    Effect.LOST: "Lost: no endpoint is left",
    Effect.FAILS_OVER: "Fails over",
    Effect.FEWER: "Answered by fewer",
    Effect.SPARE_LOST: "Answered as before, with one spare less",
}
_COLORS = {Effect.LOST: "fail", Effect.FAILS_OVER: "warn"}


def text(found: WhatIf) -> str:
    parts = []
    if found.gateways_lost:
        parts.append(f"gateways that go: {', '.join(found.gateways_lost)}")
    if found.hosts_lost:
        parts.append(paint(f"hosts that only they serve: {', '.join(found.hosts_lost)}", "fail"))
    for effect, title in _TITLES.items():
        rows = [_row(r) for r in found.routes if r.effect is effect]
        if rows and (effect is not Effect.SPARE_LOST or current().output == "wide"):
            columns = ("Request", "Destination", "At gateways of", "Was", "Now", "Then")
            parts.append(f"{paint(title, _COLORS.get(effect, 'bold'))}\n{table(columns, rows)}")
    return "\n\n".join([*parts, _summary(found)])


def _row(r: RouteEffect) -> Sequence[str]:
    share = f"{r.share}% " if r.share != 100 else ""
    return [r.request, f"{share}{r.destination}", ", ".join(r.gateways), _some(r.was), _some(r.now), _some(r.spare)]


def _some(places: Iterable[str]) -> str:
    return ", ".join(places) or "-"


def _rows(found: WhatIf, effect: Effect) -> int:
    """As many as its table has."""
    return sum(r.effect is effect for r in found.routes)


def _summary(found: WhatIf) -> str:
    told = [
        f"{_rows(found, Effect.LOST)} lost",
        f"{_rows(found, Effect.FAILS_OVER)} failing over",
        f"{_rows(found, Effect.FEWER)} answered by fewer",
        f"{_rows(found, Effect.SPARE_LOST)} with a spare less; {counted(found.unaffected, 'route')} not concerned",
    ]
    hosts = f"; {counted(len(found.hosts_lost), 'host')} served nowhere any more" if found.hosts_lost else ""
    return f"without {found.without}, by request and destination: {', '.join(told)}{hosts}"
