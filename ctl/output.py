"""Everything that is printed: results on stdout, all else on stderr; one document with -o json (cli.md §1.4)."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ctl.exits import Code, Failed
from ctl.flags import Flags, current
from fingerpost import __version__

API_VERSION = "meshctl/v1"
_MARKS = {"ok": "\U0001f7e2", "warn": "\U0001f7e1", "fail": "\U0001f534"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROL_BESIDE_OURS = re.compile(rf"(?!\x1b\[(?:0|1|3[1-3])m){_CONTROL.pattern}")
_COLORS = {"ok": "32", "warn": "33", "fail": "31", "bold": "1"}


class Document:
    """What a command found. `text` makes the table; it is only called when one is wanted."""

    def __init__(
        self,
        kind: str,
        *,
        text: Callable[[], str],
        items: Sequence[Any] | None = None,
        spec: Any = None,
        findings: Sequence[Mapping[str, Any]] = (),
        names: Iterable[str] = (),
        server_version: str = "",
        context: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.kind, self.text, self.names = kind, text, names
        body: dict[str, Any] = {"items": list(items)} if items is not None else {}
        if spec is not None:
            body["spec"] = spec
        metadata = {
            "time": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "cliVersion": __version__,
            "serverVersion": server_version,
            "context": context,
        }
        self.value: dict[str, Any] = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata}
        self.value |= dict(more or {}) | body | {"findings": list(findings)}


def emit(document: Document) -> None:
    flags = current()
    if flags.output == "json":
        _write(json.dumps(document.value, indent=2))
    elif flags.output == "yaml":
        _write(as_yaml(document.value))
    elif flags.output == "name":
        _write("\n".join(document.names))
    elif flags.output.startswith("jsonpath="):
        from ctl.jsonpath import evaluate

        _write(evaluate(flags.output.removeprefix("jsonpath="), document.value))
    else:
        _write(document.text())


def as_yaml(value: Any) -> str:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(value, Dumper=dumper, sort_keys=False, width=1000)).rstrip("\n")


def fail(failure: Failed) -> None:
    """The reason on stderr; with -o json or yaml also as the one document on stdout."""
    flags = current()
    if flags.output in ("json", "yaml"):
        shown = flags.output
        document = Document("Error", text=str, findings=failure.findings).value
        with suppress(Failed):  # where standard output takes nothing, the reason is at least on stderr
            _write(json.dumps(document, indent=2) if shown == "json" else as_yaml(document))
            sys.stdout.flush()
    note(f"error: {failure.message}")
    if failure.hint:
        note(f"hint: {failure.hint}")


def fault(error: Exception) -> Failed:
    """What nobody has foreseen, in one line; with -v on stderr also where it was."""
    if current().verbose:
        note("".join(traceback.format_exception(error)).rstrip())
    inner: BaseException = error
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    message = f"a fault of fingerpost itself: {type(inner).__name__}: {' '.join(str(inner).split())}"
    return Failed(Code.FAULT, message, "-v shows where it happened; please report that", "Fault")


def note(text: str) -> None:
    print(_plain(text, sys.stderr.isatty()), file=sys.stderr)


def remark(text: str) -> None:
    """Worth saying, unless --quiet."""
    if not current().quiet:
        note(text)


def coloured(flags: Flags | None = None) -> bool:
    flags = flags or current()
    return sys.stdout.isatty() and not flags.no_color and not os.environ.get("NO_COLOR")


def mark(level: str) -> str:
    """`ok`, `warn` or `fail`: a circle on a terminal, else a word."""
    return _MARKS[level] if coloured() else f"[{level}]"


def paint(text: str, color: str) -> str:
    return f"\x1b[{_COLORS[color]}m{text}\x1b[0m" if coloured() else text


def _write(text: str) -> None:
    if text:
        print(_plain(text, coloured()))


def _plain(text: str, rich: bool) -> str:
    """Pure ASCII wherever no person with a terminal reads (C-4). What a name brings along never steers a terminal."""
    text = (_CONTROL_BESIDE_OURS if rich else _CONTROL).sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return text if rich else text.encode("ascii", "backslashreplace").decode("ascii")


def counted(number: int, what: str, several: str = "") -> str:
    return f"{number} {what}" if number == 1 else f"{number} {several or f'{what}s'}"
