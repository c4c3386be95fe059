"""What `validate` found, and how it is printed (cli.md §3.7)."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from fingerpost.objects import ObjectKey
from fingerpost.problems import Severity


class Level(enum.StrEnum):
    ERROR = "ERROR"
    WARNING = "WARN"
    NOTE = "NOTE"


def level_of(severity: Severity) -> Level:
    """An object that takes no part because of where it stands works again elsewhere: a warning."""
    if severity in (Severity.INVALID, Severity.FAILED):
        return Level.ERROR
    return Level.NOTE if severity is Severity.INFO else Level.WARNING


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`file` empty: about the set as a whole. `object` empty: about a file. `line` counts from 1, 0 is unknown."""

    file: str = ""
    line: int = 0
    object: str = ""
    level: Level
    code: str
    path: str = ""
    message: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Report(msgspec.Struct, frozen=True, kw_only=True):
    checked: int
    findings: tuple[Finding, ...]

    def count(self, level: Level) -> int:
        return sum(finding.level is level for finding in self.findings)

    @property
    def failed(self) -> bool:
        return any(finding.level is Level.ERROR for finding in self.findings)


def label(key: ObjectKey) -> str:
    return f"{key.kind} {key.namespace}/{key.name}" if key.namespace else f"{key.kind} {key.name}"


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By file and line, each once; what concerns the whole set comes last."""
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda f: (not f.file, f.file, f.line, f.object, f.path, f.code, f.message)))


def render(report: Report) -> str:
    """Ends without a line break."""
    places = max((len(f.place) for f in report.findings if f.file), default=0)
    objects = max((len(f.object) for f in report.findings if f.file), default=0)
    lines = [_line(finding, places, objects) for finding in report.findings]
    return "\n".join([*lines, summary(report)])


def _line(finding: Finding, places: int, objects: int) -> str:
    said = finding.path and not finding.message.startswith(finding.path)
    text = f"{finding.path}: {finding.message}" if said else finding.message
    if not finding.file:
        return f"{finding.level}: {text}"
    return f"{finding.place:<{places}}  {finding.object:<{objects}}  {finding.level:<5}  {text}"


def summary(report: Report) -> str:
    parts = [_counted(report.count(Level.ERROR), "error"), _counted(report.count(Level.WARNING), "warning")]
    if notes := report.count(Level.NOTE):
        parts.append(_counted(notes, "note"))
    return f"{_counted(report.checked, 'resource')} checked: {', '.join(parts)}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
