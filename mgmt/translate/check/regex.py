"""Regular expressions are checked with RE2, the engine that Envoy uses, before anything is sent to a proxy."""

from __future__ import annotations

from functools import lru_cache

import re2

from fingerpost.api.limits import LARGEST_REGEX

LONGEST = 1024  # bytes; the limit that Istio enforces
# Envoy refuses larger programs, and with them the whole route configuration, by the runtime value
# re2.max_program_size.error_level, which bootstraps set to this number; its own default is 100.
LARGEST_PROGRAM = LARGEST_REGEX

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


@lru_cache(maxsize=8192)
def regex_problem(pattern: str) -> str | None:
    """Why a proxy would refuse `pattern`; None when it would not."""
    size = len(pattern.encode())
    if size > LONGEST:
        return f"the regular expression has {size} bytes, at most {LONGEST} are possible"
    try:
        program = re2.compile(pattern, _OPTIONS).programsize
    except re2.error as error:
        reason = error.args[0] if error.args else "not accepted"
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        return f'"{pattern}" is no RE2 regular expression: {text}'
    if program > LARGEST_PROGRAM:
        return f'"{pattern}" is too large: an RE2 program of {program}, at most {LARGEST_PROGRAM} are possible'
    return None
