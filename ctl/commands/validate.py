"""`validate -f`: the server's own code over manifests, offline."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from ctl.exits import Code, usage
from ctl.offline.given import UNREADABLE, check_paths, named, stdin
from ctl.output import Document, emit, note
from mgmt.validate import Level, render, validate_path
from mgmt.validate.sources import STDIN

_SEVERITIES = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "note"}


def validate(paths: Sequence[str]) -> int:
    if not paths:
        raise usage("nothing to validate", "write fingerpost validate -f FILE, -f FOLDER or -f - for standard input")
    paths = named(paths)
    check_paths(paths)
    report = validate_path(paths, stdin=stdin(paths))
    if not report.checked and not report.failed:
        _say_nothing_there(paths)
    findings = []
    for found in report.findings:
        value = msgspec.to_builtins(found)
        findings.append(value | {"severity": _SEVERITIES[found.level], "hint": ""})
    emit(
        Document(
            "Validation",
            text=lambda: render(report),
            spec={
                "checked": report.checked,
                "errors": report.count(Level.ERROR),
                "warnings": report.count(Level.WARNING),
            },
            findings=findings,
            names=sorted({f.object for f in report.findings if f.object}),
        )
    )
    if any(f.code == UNREADABLE for f in report.findings):
        return Code.USAGE
    return Code.FINDINGS if report.failed else Code.DONE


def _say_nothing_there(paths: Sequence[str]) -> None:
    """A file that was named is read whatever its name ends in."""
    folders = [path for path in paths if path != STDIN and os.path.isdir(path)]
    for path in paths:
        if path not in folders:
            note(f"warning: {'standard input' if path == STDIN else path} is empty: it holds no document")
    if folders:
        note(f"warning: no manifest is in {', '.join(folders)}; files with manifests end in .yaml or .yml")
