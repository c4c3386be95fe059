"""Standard output and error of the process: whoever reads may go at any time, and a disk may be full.

A reader who has gone has seen enough: the rest is dropped, and the exit code stays that of the command. What cannot be
written for another reason is told once.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from ctl.exits import Code, Failed


class _End(io.TextIOWrapper):
    """Raises Failed once. Not a raw stream of our own: one that is interrupted would write twice."""

    unread = False
    called = ""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as e:
            self._lost(e)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as e:
            self._lost(e)

    def _lost(self, error: OSError) -> None:
        """What is still to be written goes nowhere."""
        self.unread = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            message = f"{self.called} cannot take the answer: {error.strerror}"
            hint = "free space there, or write it to another place"
            raise Failed(Code.USAGE, message, hint, "Unwritable") from error


def guard() -> None:
    """From now on this process writes through these ends."""
    sys.stdout, sys.stderr = _guarded(sys.stdout, "standard output"), _guarded(sys.stderr, "standard error")


def _guarded(stream: TextIO | None, called: str) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # None: the shell's `>&-`
        return stream or open(os.devnull, "w")
    encoding, errors = stream.encoding, stream.errors
    # With PYTHONUNBUFFERED the stream itself has no lines; what is wrong is to be seen when it is.
    lines = stream.line_buffering or stream is sys.stderr
    end = _End(stream.detach(), encoding, errors, line_buffering=lines)
    end.called = called
    return end


def unread() -> bool:
    """Nobody reads standard output any more."""
    return isinstance(sys.stdout, _End) and sys.stdout.unread
