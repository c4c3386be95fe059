"""Imported first by the programs that run for long, since it settles what others import."""

from __future__ import annotations

import sys

# structlog loads it where it is installed, for tracebacks in colours that no log of ours has: 4 MB.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # as Python's own documentation has it
