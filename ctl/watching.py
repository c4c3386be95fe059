"""`--watch`: a question asked again and again. On a terminal its answer is redrawn, else printed when it is another.

With `-o json` one document per line. Ctrl-C ends it with the last answer's exit code (C-15), `--timeout` too if given.
"""

from __future__ import annotations

import io
import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

from ctl import output
from ctl.exits import Code, Failed
from ctl.flags import current
from ctl.streams import unread

INTERVAL = 1.0
_DURATION = re.compile(r"\b(?:\d+(?:\.\d+)?(?:ms|[dhms]))+\b")
_CLEAR = "\x1b[H\x1b[2J"


class _Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def essence(self) -> tuple[str, ...]:
        """Without what changes by itself: how long something lasts, and when it was asked."""
        out = self.out
        if current().output == "json" and out:
            document = json.loads(out)
            document.get("metadata", {}).pop("time", None)
            out = json.dumps(document)
        elif current().output == "yaml":
            out = re.sub(r"^  time: .*$", "", out, flags=re.MULTILINE)
        return str(self.code), _DURATION.sub("", out), _DURATION.sub("", self.err)


class _Caught(io.StringIO):
    """A terminal if what it stands for is one, so that colours stay."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._terminal = bool(stream.isatty())

    def isatty(self) -> bool:
        return self._terminal


def watch(ask: Callable[[], int]) -> int:
    """`ask` prints, and returns an exit code. Wrong usage, which can never come right, is raised as Failed;
    so is a first answer that did not come in time.
    """
    shown: _Answer | None = None
    end = None if current().wait is None else time.monotonic() + current().timeout
    try:
        while not unread() and (end is None or time.monotonic() < end):
            try:
                former, shown = shown, _asked(ask)
            except Failed as failure:
                if failure.code != Code.TIMEOUT or shown is None:
                    raise
                break  # in the middle of a question: the answer before it counts
            if output.coloured():
                sys.stdout.write(_CLEAR)
                _show(shown)
            elif former is None or shown.essence != former.essence:
                _show(shown)
            time.sleep(INTERVAL if end is None else max(0.0, min(INTERVAL, end - time.monotonic())))
    except KeyboardInterrupt:
        pass
    return Code.INTERRUPTED if shown is None else shown.code


def _asked(ask: Callable[[], int]) -> _Answer:
    out, err = _Caught(sys.stdout), _Caught(sys.stderr)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = ask()
        except Failed as failure:
            if failure.code in (Code.USAGE, Code.TIMEOUT):
                raise
            output.fail(failure)
            code = failure.code
    return _Answer(int(code), out.getvalue(), err.getvalue())


def _show(answer: _Answer) -> None:
    text = answer.out
    if current().output == "json" and text:
        text = json.dumps(json.loads(text)) + "\n"
    elif current().output == "yaml":
        text = f"---\n{text}"
    sys.stdout.write(text)
    sys.stdout.flush()
    sys.stderr.write(answer.err)
    sys.stderr.flush()
