"""`diff -f PATH`: what a change would do in every cluster, before it is made (C-43)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from ctl.exits import Code, usage
from ctl.offline.asked import asked, tell
from ctl.offline.edits import edits
from ctl.output import remark
from ctl.shown import difference as shown
from mgmt.snapshot.diff import diff as differ


def diff(paths: Sequence[str], fleet: tuple[str, str, str], cluster: str, delete: Sequence[str], prune: str) -> int:
    """`fleet`: what `asked` takes."""
    if not paths and not delete:
        raise usage("nothing to compare", "write fingerpost diff -f FILE, -f FOLDER or -f -, or --delete KIND/NS/NAME")
    there = asked(*fleet)
    stdin = sys.stdin.buffer.read() if "-" in paths else b""
    given = edits(there.outcome, paths, stdin, cluster, delete, prune)
    found = differ(there.outcome, given.changes)
    if given.left_out:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(given.left_out.items()))
        remark(f"left out, since only agents read it: {kinds}")
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
