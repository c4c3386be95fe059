"""`conflicts`: shadowed routes, hosts that meet, objects that nobody uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ctl.deadline import in_time
from ctl.exits import Code
from ctl.offline.asked import asked, tell
from ctl.offline.edits import edits
from ctl.offline.given import check_belongs
from ctl.output import counted, paint
from mgmt.snapshot.conflicts import CODES, Conflict
from mgmt.snapshot.conflicts import conflicts as find

_COLORS = {"warning": "warn", "info": "ok"}


@in_time
def conflicts(paths: Sequence[str], fleet: tuple[str, str, str], cluster: str) -> int:
    """`paths`: files that count as applied. `fleet`: what `asked` takes."""
    check_belongs(cluster, paths)
    there = asked(*fleet)
    if paths:
        there.outcome.change(edits(there.outcome, paths, cluster).items())
    found = find(there.outcome.translator)
    findings = [_finding(one) for one in found]
    warnings = sum(one.severity == "warning" for one in found)
    tell(
        there,
        "Conflicts",
        text=lambda: _text(found, warnings),
        spec={"warnings": warnings, "infos": len(found) - warnings},
        findings=findings,
        names=sorted({finding["object"] for finding in findings}),
    )
    return Code.FINDINGS if warnings else Code.DONE


def _finding(one: Conflict) -> dict[str, Any]:
    code, key = CODES[one.code], one.key
    return {
        "code": one.code,
        "severity": code.severity,
        "section": code.section,
        "object": f"{key.kind} {key.cluster}/{key.namespace}/{key.name}",
        "path": one.path,
        "message": one.message,
        "hint": code.hint,
    }


def _text(found: tuple[Conflict, ...], warnings: int) -> str:
    lines: list[str] = []
    section = ""
    for one in sorted(found, key=lambda c: (list(CODES).index(c.code), c)):
        code, key = CODES[one.code], one.key
        if code.section != section:
            section = code.section
            lines += ["", paint(section, "bold")] if lines else [paint(section, "bold")]
        level = paint(f"{code.severity:<7}", _COLORS[code.severity])
        where = f"{key.kind} {key.namespace}/{key.name} in {key.cluster}" + (f", {one.path}" if one.path else "")
        lines += [f"  {level} {one.code} {where}", f"          {one.message}"]
    summary = f"{counted(warnings, 'warning')}, {counted(len(found) - warnings, 'note')}"
    return "\n".join([*lines, "", summary]) if lines else "no conflicts"
