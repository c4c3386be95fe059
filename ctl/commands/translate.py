"""`translate -f FOLDER -o FOLDER`: what a server would relay for these manifests, offline (C-44)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from ctl.deadline import in_time
from ctl.exits import Code, usage
from ctl.flags import current
from ctl.offline.fleet import translate_folder
from ctl.offline.given import check_fleet, check_readable
from ctl.offline.written import Entry, entries, write
from ctl.output import Document, counted, emit, note
from ctl.table import table
from mgmt.translate.graph.ownership import Place
from mgmt.validate import Level
from mgmt.validate.report import Finding
from mgmt.validate.validation import findings_of

_SEVERITIES = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "note"}
_COLUMNS = (("Listeners", "listener"), ("Routes", "routes"), ("Clusters", "cluster"), ("Endpoints", "endpoints"))


@in_time
def translate(source: str, target: str, management: str) -> int:
    place = Place(cluster=management, admin_namespace=current().admin_namespace)
    check_fleet("-f", Path(source), management)
    _check_apart(source, target)
    made = translate_folder(Path(source), place)
    check_readable(made.manifests.findings)
    found = entries(made.outcome.scopes())
    problems = [*made.findings, *findings_of(made.outcome.translator, made.manifests)]
    write(Path(target), found)
    emit(
        Document(
            "Translation",
            text=lambda: _text(found, target),
            items=[entry.as_json() for entry in found],
            findings=[_finding(p) for p in problems],
            names=[f"{e.cluster}/{e.gateway}/{e.type}/{e.name}" for e in found],
        )
    )
    for problem in problems:
        where = f"{problem.place}: {problem.object} " if problem.object else f"{problem.place}: "
        note(f"{problem.level.value.lower()}: {where}{problem.message}")
    return Code.FINDINGS if any(p.level is Level.ERROR for p in problems) else Code.DONE


def _check_apart(source: str, target: str) -> None:
    """What is written into the folder that is read would be read by the next run. Raises Failed."""
    read, written = Path(source).resolve(), Path(target).resolve()
    if written.is_relative_to(read):
        where = "the folder that -f names" if written == read else f"in {source}, which -f names"
        raise usage(f"-o is {target}, which is {where}: the next run would read it", "name a folder outside of it")


def _finding(problem: Finding) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(problem)
    return shown | {"severity": _SEVERITIES[problem.level], "hint": ""}


def _text(found: list[Entry], target: str) -> str:
    counts: dict[tuple[str, str], Counter[str]] = {}
    for entry in found:
        counts.setdefault((entry.cluster, entry.gateway or "(statuses)"), Counter())[entry.type] += 1
    rows = [
        [cluster, gateway, *(str(n[t] or "-") for _, t in _COLUMNS), str(n["object"] + n["status"] or "-")]
        for (cluster, gateway), n in sorted(counts.items())
    ]
    shown = table(["Cluster", "Gateway", *(title for title, _ in _COLUMNS), "Objects"], rows)
    return f"{shown}\n\n{counted(len(found), 'resource')} written to {target}"
