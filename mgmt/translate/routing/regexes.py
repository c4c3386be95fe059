"""Compiled RE2 expressions, cached. Only for patterns that `check.regex` has accepted."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> Any:
    return re2.compile(pattern, _OPTIONS)


def full_match(pattern: str, text: str) -> bool:
    """The whole of `text` matches, as Envoy asks for paths, headers and parameters alike."""
    return _compiled(pattern).fullmatch(text) is not None


def group_count(pattern: str) -> int:
    """The highest group that a substitution may refer to."""
    return int(_compiled(pattern).groups)
