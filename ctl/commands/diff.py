"""`diff -f PATH`: what a change would do in every cluster, before it is made (C-43)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ctl.deadline import in_time
from ctl.exits import Code, usage
from ctl.offline.asked import asked, tell
from ctl.offline.edits import edits
from ctl.shown import difference as shown
from mgmt.snapshot.diff import diff as differ


@in_time
def diff(paths: Sequence[str], fleet: tuple[str, str, str], cluster: str, delete: Sequence[str], prune: str) -> int:
    """`fleet`: what `asked` takes."""
    if not paths and not delete:
        raise usage("nothing to compare", "write fingerpost diff -f FILE, -f FOLDER or -f -, or --delete KIND/NS/NAME")
    there = asked(*fleet)
    found = differ(there.outcome, edits(there.outcome, paths, cluster, delete, prune))
    tell(
        there,
        "Diff",
        text=lambda: shown.text(found),
        spec={"empty": found.empty, **msgspec.to_builtins(found)},
        findings=[] if found.empty else [_finding(shown.summary(found))],
        names=[f"{o.kind.lower()}/{o.namespace}/{o.name}" for o in found.objects],
    )
    return Code.DONE if found.empty else Code.FINDINGS


def _finding(message: str) -> dict[str, str]:
    return {"code": "Difference", "severity": "warning", "object": "", "message": message, "hint": ""}
